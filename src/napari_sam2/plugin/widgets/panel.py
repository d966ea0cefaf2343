"""The panel: composes its parts, and shows the workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_sam2.plugin.control.action_table import GESTURES, action
from napari_sam2.plugin.control.models import available_models
from napari_sam2.plugin.control.registry import controller_for
from napari_sam2.plugin.widgets.buttons import action_button, bind_shortcuts
from napari_sam2.plugin.widgets.resume_box import ResumeBox
from napari_sam2.plugin.widgets.scan_parts import ScanParts
from napari_sam2.plugin.widgets.slide_parts import SlideParts
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.control.work import Work
    from napari_sam2.record.journal import JournalNote

__all__ = ["SegmentPanel"]

STATUS_LINES = 4

TABLE_DELAY_MS = 120
"""How long the table waits for further changes before it shows them."""


class SegmentPanel(QScrollArea):
    """The dock widget.

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
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(280)
        self.images = QComboBox()
        self.images.setToolTip("The image to segment.")
        self.model = QComboBox()
        self.model.setToolTip("The model that answers. Only models on this machine are listed.")
        self.status = WrappedLabel()
        # Room for the longest common sentences, so that buttons below stay where they are.
        self.status.setMinimumHeight(STATUS_LINES * self.status.fontMetrics().lineSpacing() + 2)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.resume = ResumeBox(self.controller.do)
        self.scans = ScanParts(self.controller, self)
        self.slides = SlideParts(self.controller, self)
        self.remove = action_button("remove_object", self.controller.do)
        for box in (self.images, self.model, self.scans.window_choice):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
            # Arrow keys go on moving through slices after a choice.
            box.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._build()
        self._wire()
        self.shortcuts = bind_shortcuts(self, self.controller.do)

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
        workspace = self.controller.workspace
        workspace.status_changed.connect(self._show_status)
        workspace.warned.connect(self._warn)
        workspace.image_changed.connect(self._on_image_changed)
        workspace.objects_changed.connect(self._show_soon)
        self.scans.connect_viewer()
        self.slides.connect_viewer()
        self.controller.panel_shown()
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
        self.controller.panel_hidden()
        self.scans.disconnect_viewer()
        self.slides.disconnect_viewer()
        workspace.status_changed.disconnect(self._show_status)
        workspace.warned.disconnect(self._warn)
        workspace.image_changed.disconnect(self._on_image_changed)
        workspace.objects_changed.disconnect(self._show_soon)
        self._follow(None)
        self._viewer.dims.events.order.disconnect(self._show_soon)
        layers = self._viewer.layers
        for happening in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            happening.disconnect(self._list_images)

    def _build(self) -> None:
        do, scans = self.controller.do, self.scans
        inside = QWidget()
        self.setWidget(inside)
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(4, 4, 4, 4)
        self._form = form = QFormLayout()
        form.addRow("Image", self.images)
        form.addRow("Model", self.model)
        form.addRow("Window", scans.window_choice)
        layout.addLayout(form)
        layout.addWidget(self.status)
        layout.addWidget(self.resume)
        layout.addWidget(scans.table, 1)
        layout.addWidget(self.slides.objects, 1)
        layout.addLayout(_row(action_button("next_object", do), action_button("toggle_preview", do)))
        layout.addLayout(_row(action_button("undo", do), action_button("redo", do)))
        layout.addWidget(scans.run)
        layout.addLayout(_row(action_button("use_layer", do), self.remove))
        layout.addWidget(scans.strip)
        layout.addLayout(_row(action_button("next_doubt", do), action_button("accept_slice", do)))
        for widget in (scans.check_planes, scans.check, scans.planes, scans.more, self.slides.more, scans.saving):
            layout.addWidget(widget)
        hint = QLabel("\n".join(f"{gesture}: {meaning}" for gesture, meaning in GESTURES))
        hint.setWordWrap(True)
        layout.addWidget(hint)
        layout.addStretch()

    def _wire(self) -> None:
        self.images.activated.connect(lambda number: self.controller.use_image(self.images.itemData(number)))
        for name in available_models():
            self.model.addItem(name)
        self._show_model()
        self.model.activated.connect(self._on_model_chosen)
        self.resume.declined.connect(self._on_declined)
        self.resume.chosen.connect(self._on_session_chosen)
        self._objects_timer = QTimer(self)
        self._objects_timer.setSingleShot(True)
        self._objects_timer.setInterval(TABLE_DELAY_MS)
        self._objects_timer.timeout.connect(self._show_objects)

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

    def _show_model(self) -> None:
        name = self.controller.models.name
        if self.model.findText(name) < 0:
            self.model.addItem(name)
        self.model.setCurrentText(name)

    def _on_model_chosen(self) -> None:
        self.controller.use_model(replace(self.controller.models.choice, name=self.model.currentText()))

    def _on_declined(self) -> None:
        if self.controller.work is not None:
            self.controller.work.start_afresh()

    def _on_session_chosen(self, note: JournalNote) -> None:
        if self.controller.work is not None:
            self.controller.work.choose_earlier(note)

    def _show_soon(self, _event: Any = None) -> None:
        """A run changes objects many times a second; the table follows a few times a second."""
        if not self._objects_timer.isActive():
            self._objects_timer.start()

    def _on_image_changed(self) -> None:
        self._list_images()
        self._show_kind()
        self.scans.window_choice.listen_to(self.controller.workspace.image)
        self._follow(self.controller.work)

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
        for button in self.findChildren(QPushButton):
            if button.parent() is self.widget() and button.objectName():
                button.setVisible(self.controller.kind in action(button.objectName()).on)

    def _show_objects(self) -> None:
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

    @staticmethod
    def _warn(sentence: str) -> None:
        show_warning(sentence)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row
