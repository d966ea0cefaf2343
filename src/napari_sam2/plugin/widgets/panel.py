"""The panel: composes its parts, and shows the workspace."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.plugin.canvas.fitting import fit, is_seen_whole
from napari_sam2.plugin.control.action_table import GESTURES, action
from napari_sam2.plugin.control.models import available_models
from napari_sam2.plugin.control.registry import controller_for
from napari_sam2.plugin.widgets.activity_row import ActivityRow
from napari_sam2.plugin.widgets.beside_docks import LAYOUT_MS, BesideDocks
from napari_sam2.plugin.widgets.buttons import action_button, bind_shortcuts
from napari_sam2.plugin.widgets.column import Column
from napari_sam2.plugin.widgets.earlier_row import EarlierRow
from napari_sam2.plugin.widgets.focus import WheelScrolls, leave_keys_to_the_picture
from napari_sam2.plugin.widgets.folded_box import FoldedBox
from napari_sam2.plugin.widgets.hints import hint_style
from napari_sam2.plugin.widgets.layer_docks import LayerDocks
from napari_sam2.plugin.widgets.lines_label import LinesLabel
from napari_sam2.plugin.widgets.opening_dialogs import ask_for_earlier, ask_for_labels
from napari_sam2.plugin.widgets.scan_parts import ScanParts
from napari_sam2.plugin.widgets.server_line import ServerLine
from napari_sam2.plugin.widgets.slide_parts import SlideParts
from napari_sam2.plugin.widgets.tune_box import TuneBox
from napari_sam2.plugin.widgets.where_row import WhereRow

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtGui import QHideEvent, QResizeEvent, QShowEvent

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.control.work import Work
    from napari_sam2.record.journal import JournalNote

__all__ = ["SegmentPanel"]

STATUS_LINES = 3
"""Lines of the status."""

LEAST_WIDTH = 280
"""Pixels below which the panel is never drawn."""

WIDTH = 290
"""Pixels that the panel asks for; it can be drawn wider."""

BESIDE_TABLE = 541
"""Pixels of the panel's height that everything but the table takes."""

TABLE_HEIGHTS = 64, 420
"""Least and greatest height of a table."""

TABLE_DELAY_MS = 120
"""Least time between two showings of the table."""

CATCH_UP_MS = 5_000
"""Between two tries to write a journal that could not be written."""


class SegmentPanel(QWidget):
    """The dock widget: image and state above, folded parts, Save below.

    Parameters
    ----------
    napari_viewer : ViewerModel
        Given by napari. Several panels of one viewer show one state.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self.controller: Controller = controller_for(napari_viewer)
        self._viewer = napari_viewer
        self._connected = False
        self._shown_work: Work | None = None
        self.images = QComboBox()
        self.images.setToolTip("The image to segment.")
        self.model = QComboBox()
        self.model.setToolTip("The model that answers. Only models on this machine, or on its server, are listed.")
        self._here = available_models()
        self.server = ServerLine()
        self.layers = action_button("toggle_layer_lists", self.controller.do)
        # Room for the longest common sentences, so that buttons below stay where they are.
        self.status = LinesLabel(STATUS_LINES)
        self.status.setWordWrap(True)
        self.activity = ActivityRow(self.controller.do, lambda: not self.controller.thread.idle)
        self.where = WhereRow(self.controller.workspace)
        self.resume = EarlierRow(self.controller.do)
        self.scans = ScanParts(self.controller, self)
        self.slides = SlideParts(self.controller, self)
        self.tune = TuneBox(lambda: self.controller.models.name, self)
        self.remove = action_button("remove_object", self.controller.do)
        for box in (self.images, self.model, self.scans.window_choice):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
        self._docks = LayerDocks(self)
        self._beside = BesideDocks(self.controller)
        self._build()
        self._wire()
        leave_keys_to_the_picture(self)
        self._wheel = WheelScrolls(self)
        self.shortcuts = bind_shortcuts(self, self.controller.do, lambda: self.controller.kind)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Connect to the viewer; napari hides docked widgets and never closes them."""
        super().showEvent(event)
        if self._connected:
            return
        self._connected = True
        layers = self._viewer.layers
        for happening in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            happening.connect(self._list_images)
        self._viewer.dims.events.order.connect(self._show_soon)
        self._viewer.events.theme.connect(self._show_theme)
        self._show_theme()
        workspace = self.controller.workspace
        workspace.status_changed.connect(self._show_status)
        workspace.warned.connect(self._warn)
        workspace.image_changed.connect(self._on_image_changed)
        workspace.objects_changed.connect(self._show_soon)
        workspace.progressed.connect(self.activity.show_progress)
        workspace.layer_lists.changed.connect(self._docks.show)
        self._beside.listen(True)
        self.activity.watch(True)
        self.where.listen(True)
        self.scans.connect_viewer()
        self.slides.connect_viewer()
        self.controller.panel_shown()
        # Not from within Qt's own showing of this dock.
        QTimer.singleShot(0, self._make_room)
        self.status.setText(workspace.status)
        self._on_image_changed()
        self._show_objects()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Let go of the viewer.

        A closed panel neither lives on nor gets clicks.
        """
        super().hideEvent(event)
        if not self._connected:
            return
        self._connected = False
        workspace = self.controller.workspace
        self.activity.watch(False)
        self.where.listen(False)
        workspace.progressed.disconnect(self.activity.show_progress)
        workspace.layer_lists.changed.disconnect(self._docks.show)
        self._beside.listen(False)
        self.controller.panel_hidden()
        self.scans.disconnect_viewer()
        self.slides.disconnect_viewer()
        workspace.status_changed.disconnect(self._show_status)
        workspace.warned.disconnect(self._warn)
        workspace.image_changed.disconnect(self._on_image_changed)
        workspace.objects_changed.disconnect(self._show_soon)
        self._follow(None)
        self._viewer.dims.events.order.disconnect(self._show_soon)
        self._viewer.events.theme.disconnect(self._show_theme)
        layers = self._viewer.layers
        for happening in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            happening.disconnect(self._list_images)

    def _show_theme(self) -> None:
        self.setStyleSheet(hint_style(self._viewer.theme))

    def sizeHint(self) -> QSize:  # noqa: N802
        """As narrow as its rows allow.

        What is unfolded does not take from the picture.
        """
        return QSize(WIDTH, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As narrow as the rows allow, in whatever font."""
        least = super().minimumSizeHint()
        return QSize(max(LEAST_WIDTH, least.width()), least.height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the tables what the other rows leave."""
        super().resizeEvent(event)
        least, most = TABLE_HEIGHTS
        for table in (self.scans.table, self.slides.table):
            table.setFixedHeight(min(max(self.height() - BESIDE_TABLE, least), most))

    def _build(self) -> None:
        do, scans, slides = self.controller.do, self.scans, self.slides
        top = QHBoxLayout()
        top.addWidget(self.images, 1)
        top.addWidget(self.layers)
        self.objects = FoldedBox("Objects")
        for widget in (self.resume, scans.table, slides.objects):
            self.objects.addWidget(widget)
        self._buttons = _row(action_button("next_object", do), self.remove)
        self._review = _row(action_button("next_doubt", do), action_button("accept_slice", do))
        for widget in (self._buttons, _row(action_button("undo", do), action_button("redo", do))):
            self.objects.addWidget(widget)
        for widget in (scans.run, scans.strip, self._review):
            self.objects.addWidget(widget)
        self.shaping = FoldedBox("Shape and check")
        for widget in (scans.hand, scans.run.directions, scans.check_planes, scans.check, scans.more, slides.more):
            self.shaping.addWidget(widget)
        self.viewing = FoldedBox("Image and view")
        self._form = form = QFormLayout()
        form.addRow("Model", self.model)
        form.addRow("Runs on", self.server)
        form.addRow("Window", scans.window_choice)
        form.addRow(scans.channels)
        choices = QWidget()
        choices.setLayout(form)
        form.setContentsMargins(0, 0, 0, 0)
        hint = QLabel("\n".join(f"{gesture}: {meaning}" for gesture, meaning in GESTURES))
        hint.setWordWrap(True)
        for widget in (
            choices,
            scans.planes,
            _row(action_button("toggle_preview", do), action_button("use_layer", do)),
        ):
            self.viewing.addWidget(widget)
        self.viewing.addWidget(self.tune)
        self.viewing.addWidget(hint)
        parts = QWidget()
        inside = QVBoxLayout(parts)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        for part in (self.objects, scans.find, self.shaping, scans.compare, self.viewing):
            inside.addWidget(part)
        inside.addStretch()
        self.scroll = Column(parts)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3, 4, 3, 4)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.status)
        layout.addWidget(self.activity)
        layout.addWidget(self.where)
        layout.addWidget(self.scroll, 1)
        layout.addWidget(scans.saving)
        layout.addWidget(slides.saving)
        self.objects.expand(animate=False)

    def _wire(self) -> None:
        self.images.activated.connect(lambda number: self.controller.use_image(self.images.itemData(number)))
        self._show_model()
        self.tune.tuned.connect(lambda _: self._list_models())
        self.model.activated.connect(self._on_model_chosen)
        self.server.chosen.connect(self.controller.use_model)
        self.resume.declined.connect(self._on_declined)
        self.resume.chosen.connect(self._on_session_chosen)
        self.resume.labels_asked.connect(lambda: ask_for_labels(self, self.controller))
        self.resume.earlier_asked.connect(lambda: ask_for_earlier(self, self.controller))
        self._catching_up = QTimer(self)
        self._catching_up.timeout.connect(self._catch_up)
        self._catching_up.start(CATCH_UP_MS)
        self._objects_timer = QTimer(self)
        self._objects_timer.setSingleShot(True)
        self._objects_shown_at = 0.0
        self._objects_timer.timeout.connect(self._show_objects)

    def _make_room(self) -> None:
        if not self._connected:
            return
        image = self.controller.workspace.image
        whole = image is not None and is_seen_whole(self._viewer, image)
        self.controller.workspace.layer_lists.on = self._docks.make_room()
        if image is not None and whole:
            QTimer.singleShot(LAYOUT_MS, lambda: fit(self._viewer, image) if image in self._viewer.layers else None)

    def _list_images(self, _event: Any = None) -> None:
        current = self.controller.workspace.image
        self.images.clear()
        for layer in self._viewer.layers:
            if isinstance(layer, Image):
                self.images.addItem(layer.name, layer)
                if layer is current:
                    self.images.setCurrentIndex(self.images.count() - 1)
        if current is None:
            self.images.setCurrentIndex(-1)

    def _list_models(self) -> None:
        self._here = available_models()
        self._show_model()

    def _show_model(self) -> None:
        models = self.controller.models
        self.server.show_choice(models.choice)
        offered = [*(models.offered if models.choice.server else self._here)]
        names = offered if models.name in offered else [*offered, models.name]
        if names != [self.model.itemText(place) for place in range(self.model.count())]:
            self.model.clear()
            self.model.addItems(names)
        self.model.setCurrentText(models.name)

    def _on_model_chosen(self) -> None:
        self.controller.use_model(replace(self.controller.models.choice, name=self.model.currentText()))

    def _on_declined(self) -> None:
        if self.controller.work is not None:
            self.controller.work.start_afresh()

    def _on_session_chosen(self, note: JournalNote) -> None:
        if self.controller.work is not None:
            self.controller.work.choose_earlier(note)

    def _catch_up(self) -> None:
        for work in list(self.controller.workspace.works.values()):
            work.catch_up()

    def _show_soon(self, _event: Any = None) -> None:
        """A run changes objects many times a second; the table follows a few times a second.

        A lone change is shown at once: then picture and panel are drawn together.
        """
        if not self._objects_timer.isActive():
            since = round((time.monotonic() - self._objects_shown_at) * 1000)
            self._objects_timer.start(max(0, TABLE_DELAY_MS - since))

    def _on_image_changed(self) -> None:
        self._list_images()
        self._show_kind()
        self.scans.window_choice.listen_to(self.controller.workspace.image)
        self._follow(self.controller.work)
        self.where.show_letters()
        self.where.show_place()

    def _follow(self, work: Work | None) -> None:
        """Ask what the work on the chosen image asks, and suggest where to save it."""
        if work is self._shown_work:
            return
        if self._shown_work is not None:
            self._shown_work.asked.disconnect(self.scans.saving.ask)
        self._shown_work = work
        self.scans.saving.ask("")
        if work is not None:
            work.asked.connect(self.scans.saving.ask)
            saving = self.slides.saving if work.kind == "slide" else self.scans.saving
            saving.suggest(work.suggested_path())

    def _show_kind(self) -> None:
        """Show what means something for the chosen image; the rest steps aside."""
        slide = self.controller.kind == "slide"
        self.scans.set_visible(not slide)
        self.slides.set_visible(slide)
        self._form.labelForField(self.scans.window_choice).setVisible(not slide)
        if slide:
            # What a slide is made of stands there: refinement, classes, the automatic run.
            self.shaping.expand(animate=False)
        for row in (self._buttons, self._review):
            for button in row.findChildren(QPushButton):
                button.setVisible(self.controller.kind in action(button.objectName()).on)

    def _show_objects(self) -> None:
        self._objects_shown_at = time.monotonic()
        work = self.controller.work
        if work is None:
            self.resume.offer(None)
        else:
            self.resume.offer(work.earlier, work.sessions)
        self._show_model()
        if self.controller.kind == "slide":
            self.slides.show_current()
        else:
            self.scans.show_current()

    def _show_status(self, sentence: str) -> None:
        self.status.setText(sentence)
        # The longest sentences, those that quote a system's reason, take more lines than there are.
        self.status.setToolTip(sentence)
        self._show_model()

    @staticmethod
    def _warn(sentence: str) -> None:
        show_warning(sentence)


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return holder
