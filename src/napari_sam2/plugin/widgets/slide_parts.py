"""The parts of the panel that are shown for a slide: table and class above, refinement, runs and files below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.errors import UserInputError
from napari_sam2.plugin.scan.volumes import file_behind, layer_name_stem
from napari_sam2.plugin.slide.table_rows import slide_rows
from napari_sam2.plugin.widgets.automatic_box import AutomaticBox
from napari_sam2.plugin.widgets.class_box import ClassBox
from napari_sam2.plugin.widgets.save_box import SaveBox
from napari_sam2.plugin.widgets.slide_table import SlideTable

if TYPE_CHECKING:
    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.slide.work import SlideWork

__all__ = ["SlideParts"]

VIEW_DELAY_MS = 80
"""How long the camera must rest before what has come into view is drawn."""

OVERLAP_TITLES = {"keep": "both keep it", "first": "first object wins", "last": "last object wins"}

_FILES = (
    "GeoJSON for QuPath (*.geojson);;Table of measurements (*.csv);;COCO (*.coco.json);;"
    "Label image, OME-TIFF (*.ome.tif)"
)


class SlideParts(QObject):
    """Composes its parts, and wires their signals to the controller's slides.

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
        self._desk = controller.slides
        self._suggested: Any = None
        self.mpp = QLineEdit()
        self.mpp.setPlaceholderText("not known: areas are in pixels")
        self.mpp.setToolTip("Microns per pixel, which the file does not state. Type it (0.25) and press Enter.")
        self.table = SlideTable()
        self.classes = ClassBox()
        self.refine = QPushButton("Refine")
        self.refine.setToolTip(
            "Look at the current object's border at twice the resolution. Helps the classical model; the bundled one "
            "usually does worse with it. Ctrl+Z takes it back."
        )
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Remove the current object. Ctrl+Z brings it back.")
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
        for button in (self.refine, self.remove, self.load):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._view_timer = QTimer(self)
        self._view_timer.setSingleShot(True)
        self._view_timer.setInterval(VIEW_DELAY_MS)
        self._build()
        self._wire()

    def listen(self) -> None:
        """Follow camera and runs, as long as the panel is shown."""
        camera = self._controller.viewer.scene.camera
        camera.events.zoom.connect(self._on_view)
        camera.events.center.connect(self._on_view)
        self._desk.automatic.progressed.connect(self.automatic.show_progress)

    def deafen(self) -> None:
        """Stop following."""
        camera = self._controller.viewer.scene.camera
        camera.events.zoom.disconnect(self._on_view)
        camera.events.center.disconnect(self._on_view)
        self._desk.automatic.progressed.disconnect(self.automatic.show_progress)

    def show_current(self) -> None:
        """Show the work on the chosen slide as it is."""
        work = self._desk.current
        unit = "px²" if work is None or work.snapshot.mpp is None else "µm²"
        self.table.show_rows(slide_rows(work), "" if work is None else work.current, unit)
        if work is None:
            return
        snapshot, obj = work.snapshot, work.object
        self.classes.show_classes(snapshot.classes, "" if obj is None else obj.class_name, obj is not None)
        self.refine.setEnabled(obj is not None)
        self.remove.setEnabled(obj is not None)
        self.overlap.setCurrentIndex(self.overlap.findData(snapshot.overlap))
        self.automatic.show_unfinished(snapshot.unfinished)
        self.automatic.suggest_size(snapshot.mpp is not None)
        self._asking.setVisible(snapshot.mpp is None or snapshot.mpp.origin == "given")
        if snapshot.mpp is not None and not self.mpp.hasFocus():
            self.mpp.setText(f"{snapshot.mpp.mean:g}")
        self._suggest(work)

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
        buttons = QHBoxLayout()
        buttons.addWidget(self.refine)
        buttons.addWidget(self.remove)
        below.addLayout(buttons)
        overlaps = QFormLayout()
        overlaps.addRow("Overlap", self.overlap)
        below.addLayout(overlaps)
        below.addWidget(self.automatic)
        below.addWidget(self.saving)
        below.addWidget(self.load)

    def _wire(self) -> None:
        desk = self._desk
        self.table.chosen.connect(desk.actions.go_to)
        self.table.renamed.connect(lambda i, name: self._with_work("change", i, name=name))
        self.table.accepted.connect(lambda i, on: self._with_work("change", i, locked=on))
        self.classes.chosen.connect(desk.choices.set_class)
        self.classes.coloured.connect(desk.choices.colour_class)
        self.classes.dropped.connect(desk.choices.drop_class)
        self.refine.clicked.connect(desk.actions.refine)
        self.remove.clicked.connect(desk.actions.remove)
        self.overlap.activated.connect(lambda: desk.choices.set_overlap(self.overlap.currentData()))
        self.mpp.returnPressed.connect(self._on_mpp)
        self.automatic.begun.connect(self._on_begun)
        self.automatic.stopped.connect(desk.automatic.stop)
        self.automatic.resumed.connect(desk.automatic.resume)
        self.automatic.discarded.connect(desk.automatic.discard)
        self.saving.save_asked.connect(desk.save)
        self.load.clicked.connect(self._on_load)
        self._view_timer.timeout.connect(self._draw)

    def _suggest(self, work: SlideWork) -> None:
        if work is self._suggested:
            return
        self._suggested = work
        source = file_behind(work.image) or work.image.metadata.get("napari_sam2_path")
        folder = Path("~") if source is None else Path(source).parent
        stem = layer_name_stem(work.image.name).removesuffix(".ome.tif").removesuffix(".tif").removesuffix(".svs")
        self.saving.suggest(folder / f"{stem}.geojson")

    def _on_view(self, _event: Any = None) -> None:
        self._view_timer.start()

    def _draw(self) -> None:
        if self._desk.current is not None:
            self._desk.current.draw()

    def _on_mpp(self) -> None:
        try:
            self._desk.choices.set_mpp(self.mpp.text())
        except UserInputError as error:
            self._controller.say(str(error))
            return
        self.mpp.clearFocus()

    def _on_begun(self, where: str, size: str) -> None:
        try:
            self._desk.automatic.find(where, size)
        except UserInputError as error:
            self._controller.say(str(error))

    def _on_load(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Load objects", self.saving.path.text(), "GeoJSON (*.geojson *.json)"
        )
        if chosen:
            self._desk.load(Path(chosen))

    def _with_work(self, method: str, *given: Any, **named: Any) -> None:
        if self._desk.current is not None:
            getattr(self._desk.current, method)(*given, **named)
