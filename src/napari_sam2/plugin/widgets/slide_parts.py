"""The parts of the panel that are shown for a slide.

Table and class above, refinement, runs and files below.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.slide.table_rows import slide_rows
from napari_sam2.plugin.slide.work import SlideWork
from napari_sam2.plugin.widgets.automatic_box import AutomaticBox
from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.class_box import ClassBox
from napari_sam2.plugin.widgets.save_box import SaveBox
from napari_sam2.plugin.widgets.slide_channels_box import SlideChannelsBox
from napari_sam2.plugin.widgets.slide_hand_box import SlideHandBox
from napari_sam2.plugin.widgets.slide_table import SlideTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["SlideParts"]

VIEW_DELAY_MS = 80
"""How long the camera must rest before what has come into view is drawn."""

OVERLAP_TITLES = {"keep": "both keep it", "first": "first object wins", "last": "last object wins"}

_FILES = (
    "GeoJSON for QuPath (*.geojson);;Table of measurements (*.csv);;COCO (*.coco.json);;"
    "Label image, OME-TIFF (*.ome.tif)"
)
_OBJECT_FILES = "Objects (*.geojson *.json *.gz *.roi *.zip *.tif *.tiff *.png *.npy)"


class SlideParts(QObject):
    """Composes the parts for a slide.

    It wires their signals to the work on the chosen slide.

    Parameters
    ----------
    controller : Controller
        Of the panel's viewer.
    parent : QWidget
        The panel.

    Attributes
    ----------
    objects, more : QWidget
        What stands above and below the buttons that volumes have as well.
    """

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(parent)
        self.objects, self.more = QWidget(), QWidget()
        self._controller = controller
        self.mpp = QLineEdit()
        self.mpp.setPlaceholderText("not known: areas are in pixels")
        self.mpp.setToolTip("Microns per pixel, which the file does not state. Type it (0.25) and press Enter.")
        self.table = SlideTable()
        self.classes = ClassBox()
        self.refine = action_button("refine_object", controller.do)
        self.hands = SlideHandBox(controller.do)
        self.channels = SlideChannelsBox()
        self.overlap = QComboBox()
        self.overlap.setToolTip("Who keeps a place that two objects claim. Accepted objects always keep theirs.")
        for rule, title in OVERLAP_TITLES.items():
            self.overlap.addItem(title, rule)
        self.automatic = AutomaticBox()
        self.saving = SaveBox(
            title="Save objects",
            tooltip="The name decides: .geojson for QuPath, .csv, .coco.json, .ome.tif or .ome.zarr (label image).",
            files=_FILES,
        )
        self.saving.path.setPlaceholderText("objects.geojson")
        self.load = QPushButton("Load objects ...")
        self.load.setToolTip("Take over the objects of a GeoJSON file, as QuPath and Save write it.")
        self.load.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._view_timer = QTimer(self)
        self._view_timer.setSingleShot(True)
        self._view_timer.setInterval(VIEW_DELAY_MS)
        self._build()
        self._wire()

    @property
    def work(self) -> SlideWork | None:
        """The work on the chosen slide."""
        work = self._controller.work
        return work if isinstance(work, SlideWork) else None

    def connect_viewer(self) -> None:
        """Follow camera and runs, as long as the panel is shown."""
        camera = self._controller.workspace.viewer.scene.camera
        camera.events.zoom.connect(self._on_view)
        camera.events.center.connect(self._on_view)
        self._controller.workspace.progressed.connect(self.automatic.show_progress)

    def disconnect_viewer(self) -> None:
        """Stop following."""
        camera = self._controller.workspace.viewer.scene.camera
        camera.events.zoom.disconnect(self._on_view)
        camera.events.center.disconnect(self._on_view)
        self._controller.workspace.progressed.disconnect(self.automatic.show_progress)

    def set_visible(self, visible: bool) -> None:
        """Show or hide all of it."""
        for widget in (self.objects, self.more, self.saving):
            widget.setVisible(visible)

    def show_current(self) -> None:
        """Show the work on the chosen slide as it is."""
        work = self.work
        unit = "px²" if work is None or work.snapshot.mpp is None else "µm²"
        self.table.show_rows(slide_rows(work), "" if work is None else work.current, unit)
        if work is None:
            return
        snapshot, obj = work.snapshot, work.current_object
        work.row_order = self.table.order
        self.classes.show_classes(snapshot.classes, work.choices.for_new if obj is None else obj.class_name)
        self.hands.show_hands(work.hand.mode, work.one_by_one.on, work.hand.radius)
        self.channels.show_rows(work.channels.rows)
        self.refine.setEnabled(obj is not None)
        self.overlap.setCurrentIndex(self.overlap.findData(snapshot.overlap))
        self.automatic.show_unfinished(snapshot.unfinished)
        self.automatic.suggest_size(snapshot.mpp is not None)
        self._asking.setVisible(snapshot.mpp is None or snapshot.mpp.origin == "given")
        if snapshot.mpp is not None and not self.mpp.hasFocus():
            self.mpp.setText(f"{snapshot.mpp.mean:g}")

    def _build(self) -> None:
        above = QVBoxLayout(self.objects)
        above.setContentsMargins(0, 0, 0, 0)
        above.addWidget(self.table, 1)
        choices = QFormLayout()
        choices.addRow("Class", self.classes)
        above.addLayout(choices)
        self._asking = QWidget()
        question = QFormLayout(self._asking)
        question.setContentsMargins(0, 0, 0, 0)
        question.addRow("µm / pixel", self.mpp)
        above.addWidget(self._asking)
        below = QVBoxLayout(self.more)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.channels)
        below.addWidget(self.hands)
        below.addWidget(self.refine)
        overlaps = QFormLayout()
        overlaps.addRow("Overlap", self.overlap)
        below.addLayout(overlaps)
        below.addWidget(self.automatic)
        below.addWidget(self.load)

    def _wire(self) -> None:
        self.table.selection_changed.connect(self._on_selection)
        self.table.chosen.connect(self._with_work(lambda work, i: work.go_to_object(i)))
        self.table.renamed.connect(self._with_work(lambda work, i, name: work.change(i, name=name)))
        self.table.finished_changed.connect(self._with_work(lambda work, i, on: work.finish(i, on)))
        self.classes.chosen.connect(self._with_work(lambda work, name: work.choices.set_class(name)))
        self.classes.coloured.connect(self._with_work(lambda work, name, c: work.choices.colour_class(name, c)))
        self.classes.dropped.connect(self._with_work(lambda work, name: work.choices.drop_class(name)))
        self.hands.radius_chosen.connect(self._with_work(lambda work, radius: setattr(work.hand, "radius", radius)))
        self.channels.changed.connect(self._with_work(lambda work, n, row: work.channels.change(n, row)))
        self.channels.measured.connect(self._with_work(lambda work: work.channels.measure()))
        self.overlap.activated.connect(
            self._with_work(lambda work, _: work.choices.set_overlap(self.overlap.currentData()))
        )
        self.mpp.returnPressed.connect(self._on_mpp)
        self.automatic.begun.connect(self._on_begun)
        self.automatic.stopped.connect(self._with_work(lambda work: work.run.stop()))
        self.automatic.resumed.connect(self._with_work(lambda work: work.run.resume()))
        self.automatic.discarded.connect(self._with_work(lambda work: work.run.discard()))
        self.saving.save_asked.connect(self._with_work(lambda work, path: work.save(path)))
        self.load.clicked.connect(self._on_load)
        self._view_timer.timeout.connect(self._with_work(lambda work: work.draw()))

    def _with_work(self, call: Callable[..., None]) -> Callable[..., None]:
        """A slot that calls something with the work on the chosen slide first, when there is one."""

        def slot(*values: Any) -> None:
            if self.work is not None:
                call(self.work, *values)

        return slot

    def _on_selection(self, object_ids: tuple[str, ...]) -> None:
        if self.work is not None:
            self.work.selected = object_ids

    def _on_view(self, _event: Any = None) -> None:
        self._view_timer.start()

    def _on_mpp(self) -> None:
        if self._is_explained(lambda work: work.choices.set_mpp(self.mpp.text())):
            self.mpp.clearFocus()

    def _on_begun(self, what: str, where: str, size: str) -> None:
        self._is_explained(lambda work: work.run.find(where, size, nuclei=what == "nuclei"))

    def _is_explained(self, call: Callable[[SlideWork], None]) -> bool:
        """Call something with the work; a refusal goes to the status line. Whether it was done."""
        if self.work is None:
            return False
        try:
            call(self.work)
        except UserInputError as error:
            self._controller.workspace.say(str(error))
            return False
        return True

    def _on_load(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self.more, "Load objects", self.saving.path.text(), _OBJECT_FILES)
        if chosen and self.work is not None:
            self.work.load(Path(chosen))
