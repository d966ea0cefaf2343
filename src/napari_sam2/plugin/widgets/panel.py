"""The panel: composes its parts, and wires their signals to the controller."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_sam2.plugin.control.action_table import GESTURES
from napari_sam2.plugin.control.models import available_models
from napari_sam2.plugin.control.registry import controller_for
from napari_sam2.plugin.scan.table_rows import object_rows, size_unit, strip_content
from napari_sam2.plugin.scan.volumes import file_behind
from napari_sam2.plugin.settings import remember_names
from napari_sam2.plugin.widgets.buttons import action_button, bind_shortcuts
from napari_sam2.plugin.widgets.check_box import CheckBox
from napari_sam2.plugin.widgets.more_box import MoreBox
from napari_sam2.plugin.widgets.object_table import ObjectTable
from napari_sam2.plugin.widgets.resume_box import ResumeBox
from napari_sam2.plugin.widgets.run_box import RunBox
from napari_sam2.plugin.widgets.save_box import SaveBox
from napari_sam2.plugin.widgets.score_strip import ScoreStrip
from napari_sam2.plugin.widgets.slide_parts import SlideParts
from napari_sam2.plugin.widgets.window_choice import WindowChoice
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["SegmentPanel"]

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
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(280)
        self.window_choice = WindowChoice(self.controller)
        self.images = QComboBox()
        self.images.setToolTip("The image to segment.")
        self.model = QComboBox()
        self.model.setToolTip("The model that answers. Only models on this machine are listed.")
        for box in (self.images, self.model, self.window_choice):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
        self.status = WrappedLabel()
        self.status.setMinimumHeight(34)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.resume = ResumeBox()
        self.table = ObjectTable()
        self.strip = ScoreStrip()
        self.preview = action_button("toggle_preview", self.controller.actions.toggle_preview)
        self.run = RunBox(self.controller.actions)
        self.check_planes = action_button("check_planes", self.controller.actions.check_planes)
        self.check = CheckBox(self.controller.actions)
        self.more = MoreBox(self.controller.actions)
        self.saving = SaveBox()
        self.slides = SlideParts(self.controller, self)
        self._build()
        self._wire()
        self.shortcuts = bind_shortcuts(self, self.controller.actions)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Connect to the viewer; napari hides docked widgets and never closes them."""
        super().showEvent(event)
        if self._connected:
            return
        self._connected = True
        layers = self.controller.viewer.layers
        for happening in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            happening.connect(self._list_images)
        controller = self.controller
        controller.status_changed.connect(self._show_status)
        controller.warned.connect(self._warn)
        controller.image_changed.connect(self._on_image_changed)
        controller.objects_changed.connect(self._show_soon)
        controller.progressed.connect(self.run.show_progress)
        controller.naming.changed.connect(self._show_names)
        controller.viewer.dims.events.current_step.connect(self._show_slice)
        controller.viewer.dims.events.order.connect(self._show_soon)
        self.slides.listen()
        controller.panel_shown()
        self.status.setText(controller.status)
        self._list_images()
        self._on_image_changed()
        self._show_names()
        self._show_objects()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Let go of the viewer, so that a closed panel neither lives on nor gets clicks."""
        super().hideEvent(event)
        if not self._connected:
            return
        self._connected = False
        controller = self.controller
        controller.panel_hidden()
        self.slides.deafen()
        controller.status_changed.disconnect(self._show_status)
        controller.warned.disconnect(self._warn)
        controller.image_changed.disconnect(self._on_image_changed)
        controller.objects_changed.disconnect(self._show_soon)
        controller.progressed.disconnect(self.run.show_progress)
        controller.naming.changed.disconnect(self._show_names)
        self.window_choice.listen_to(None)
        self._viewer.dims.events.current_step.disconnect(self._show_slice)
        self._viewer.dims.events.order.disconnect(self._show_soon)
        layers = self._viewer.layers
        for happening in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            happening.disconnect(self._list_images)

    def _build(self) -> None:
        actions = self.controller.actions
        inside = QWidget()
        self.setWidget(inside)
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(4, 4, 4, 4)
        self._form = form = QFormLayout()
        form.addRow("Image", self.images)
        form.addRow("Model", self.model)
        form.addRow("Window", self.window_choice)
        layout.addLayout(form)
        layout.addWidget(self.status)
        layout.addWidget(self.resume)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.slides.objects, 1)
        objects = QHBoxLayout()
        objects.addWidget(action_button("next_object", actions.next_object))
        objects.addWidget(self.preview)
        layout.addLayout(objects)
        history = QHBoxLayout()
        history.addWidget(action_button("undo", actions.undo))
        history.addWidget(action_button("redo", actions.redo))
        layout.addLayout(history)
        layout.addWidget(self.run)
        layout.addWidget(action_button("use_layer", actions.use_layer))
        layout.addWidget(self.strip)
        review = QHBoxLayout()
        review.addWidget(action_button("next_doubt", actions.next_doubt))
        review.addWidget(action_button("accept_slice", actions.accept_slice))
        layout.addLayout(review)
        layout.addWidget(self.check_planes)
        layout.addWidget(self.check)
        self._planes = QWidget()
        planes = QHBoxLayout(self._planes)
        planes.setContentsMargins(0, 0, 0, 0)
        for name in ("show_axial", "show_coronal", "show_sagittal"):
            planes.addWidget(action_button(name, getattr(actions, name)))
        layout.addWidget(self._planes)
        layout.addWidget(self.more)
        layout.addWidget(self.slides.more)
        layout.addWidget(self.saving)
        hint = QLabel("\n".join(f"{gesture}: {meaning}" for gesture, meaning in GESTURES))
        hint.setWordWrap(True)
        hint.setEnabled(False)
        layout.addWidget(hint)
        layout.addStretch()

    def _wire(self) -> None:
        controller = self.controller
        self.images.activated.connect(self._on_image_chosen)
        for name in available_models():
            self.model.addItem(name)
        self._show_model()
        self.model.activated.connect(self._on_model_chosen)
        self.table.chosen.connect(controller.select_object)
        self.table.renamed.connect(controller.naming.name)
        self.table.visible_changed.connect(lambda i, on: self._with_annotation("show_object", i, on))
        self.table.finished_changed.connect(lambda i, on: self._with_annotation("finish", i, on))
        self.strip.slice_chosen.connect(self._on_slice_chosen)
        self.more.range.edited.connect(self._on_range_edited)
        self.more.names_chosen.connect(self._on_names_chosen)
        self.more.names_dropped.connect(self._on_names_dropped)
        self.more.overlap_chosen.connect(lambda rule: self._with_annotation("use_overlap", rule))
        self._objects_timer = QTimer(self)
        self._objects_timer.setSingleShot(True)
        self._objects_timer.setInterval(TABLE_DELAY_MS)
        self._objects_timer.timeout.connect(self._show_objects)
        self.resume.resumed.connect(lambda: self._with_work("resume"))
        self.resume.declined.connect(lambda: self._with_work("start_afresh"))
        self.saving.save_asked.connect(self._save)
        self.saving.reference_given.connect(lambda path: self._save(reference=path))
        self.saving.no_geometry_asked.connect(lambda: self._save(without_geometry=True))

    def _list_images(self, _event: Any = None) -> None:
        current = self.controller.image
        self.images.clear()
        for layer in self.controller.viewer.layers:
            if isinstance(layer, Image):
                self.images.addItem(layer.name, layer)
                if layer is current:
                    self.images.setCurrentIndex(self.images.count() - 1)
        if current is None:
            self.images.setCurrentIndex(-1)

    def _on_image_chosen(self, number: int) -> None:
        self.controller.use_image(self.images.itemData(number))

    def _show_model(self) -> None:
        name = self.controller.models.name
        if self.model.findText(name) < 0:
            self.model.addItem(name)
        self.model.setCurrentText(name)

    def _on_model_chosen(self) -> None:
        self.controller.use_model(replace(self.controller.models.choice, name=self.model.currentText()))

    def _on_slice_chosen(self, index: int) -> None:
        annotation = self.controller.annotation
        if annotation is not None:
            self.controller.actions.go_to_slice(annotation.object(self.controller.current_object).axis, index)

    def _on_range_edited(self, first: int, last: int) -> None:
        annotation = self.controller.annotation
        if annotation is not None:
            axis = annotation.axis_of(self.controller.current_object)
            self.controller.slice_range.set(axis, first, last, annotation.shown.volume.shape[axis])

    def _show_choices(self) -> None:
        """Show window, range and overlap rule as they are."""
        self.window_choice.show_current()
        annotation = self.controller.annotation
        if annotation is None:
            self.run.show_range(None)
            return
        axis = annotation.axis_of(self.controller.current_object)
        ends = self.controller.slice_range.ends(axis)
        self.run.show_range(ends)
        self.more.range.show_range(ends, annotation.shown.volume.shape[axis])
        self.more.show_overlap(annotation.snapshot.overlap)

    def _show_strip(self) -> None:
        self.strip.show_content(strip_content(self.controller))

    def _show_slice(self, _event: Any = None) -> None:
        """Only the view has moved: the scores are as they were."""
        on_view = self.controller.reviewing.slice_on_view()
        annotation = self.controller.annotation
        if annotation is None or on_view is None:
            return
        same_axis = annotation.axis_of(self.controller.current_object) == on_view[0]
        self.strip.show_content(replace(self.strip.content, current=on_view[1] if same_axis else None))

    def _show_soon(self, _event: Any = None) -> None:
        """A run changes objects many times a second; the table follows a few times a second."""
        if not self._objects_timer.isActive():
            self._objects_timer.start()

    def _on_image_changed(self) -> None:
        self._list_images()
        self._show_kind()
        self.window_choice.listen_to(self.controller.image)
        self.saving.ask("")
        image = self.controller.image
        if image is not None:
            source = file_behind(image)
            folder = Path("~") if source is None else source.parent
            self.saving.suggest(folder / self.controller.saver.suggested_file_name())

    def _show_kind(self) -> None:
        """Show what means something for the chosen image; the rest steps aside."""
        slide = self.controller.slides.is_chosen
        annotation = self.controller.annotation
        flat = slide or (annotation is not None and annotation.shown.grid.n_spatial == 2)
        for widget in (self.slides.objects, self.slides.more):
            widget.setVisible(slide)
        window = (self.window_choice, self._form.labelForField(self.window_choice))
        for widget in (self.table, self.more, self.saving, *window):
            widget.setVisible(not slide)
        for widget in (self.run, self.strip):
            widget.setVisible(not flat)
        # Of a film only frames can be seen: across time there is nothing to point at.
        film = annotation is not None and annotation.shown.is_film
        for widget in (self.check_planes, self._planes):
            widget.setVisible(not flat and not film)

    def _show_objects(self) -> None:
        controller = self.controller
        work = controller.slides.current or controller.annotation
        self.resume.offer(None if work is None else work.earlier)
        if controller.slides.is_chosen:
            self._show_model()
            self.slides.show_current()
            return
        self._show_strip()
        self._show_choices()
        self.check.show_figures(controller.checking.told)
        self._show_model()
        self.table.show_unit(size_unit(controller.annotation))
        self.table.show_rows(object_rows(controller.annotation, controller.current_object), controller.current_object)

    def _on_names_chosen(self, path: Path) -> None:
        if self.controller.naming.load(path):
            remember_names(path)

    def _on_names_dropped(self) -> None:
        self.controller.naming.forget_list()
        remember_names(None)

    def _show_names(self) -> None:
        naming = self.controller.naming
        self.table.names.names = naming.names
        self.more.show_names(naming.file_name)

    def _show_status(self, sentence: str) -> None:
        self.status.setText(sentence)

    def _with_work(self, method: str) -> None:
        work = self.controller.slides.current or self.controller.annotation
        if work is not None:
            getattr(work, method)()

    def _with_annotation(self, method: str, *given: Any) -> None:
        if self.controller.annotation is not None:
            getattr(self.controller.annotation, method)(*given)

    def _save(self, path: Path | None = None, **how: Any) -> None:
        self.saving.ask("")
        target = path or self.saving.target
        self.controller.saver.save(target, on_question=self.saving.ask, **how)

    @staticmethod
    def _warn(sentence: str) -> None:
        show_warning(sentence)
