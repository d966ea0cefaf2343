"""Saving: where to, and whether anything is asked.

When nothing proves where the labels lie, it says what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLineEdit, QPushButton, QWidget

from napari_sam2.io.formats import dialog_filter, label_suffixes, opened_suffixes
from napari_sam2.io.names import without_suffix
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCAN_KINDS", "SaveBox"]

_FILES = dialog_filter("NIfTI", label_suffixes())
_IMAGES = f"{dialog_filter('Images', opened_suffixes())};;All files (*)"


SCAN_KINDS: Final = (
    ("NIfTI .nii.gz", ".nii.gz", ""),
    ("Slicer .seg.nrrd", ".seg.nrrd", ""),
    ("DICOM SEG .dcm", ".dcm", ""),
    ("OME-Zarr .ome.zarr", ".ome.zarr", ""),
    ("BIDS derivative", "", "bids"),
    ("One mask for each object", "_objects", "objects"),
)
"""Formats of a scan's labels: title, ending, and what saving calls it where the ending does not say it."""


class SaveBox(QWidget):
    """A path, Save, and a question that appears in place.

    It appears when it has to be asked.

    Parameters
    ----------
    title, tooltip : str
        Of the button.
    files : str
        Kinds of files, as Qt's file dialog takes them.
    kinds : sequence of (str, str, str)
        Formats to choose from: title, ending, and what saving calls it where the ending does not say it.
    """

    save_asked = Signal(object)
    """Path to save to."""
    reference_given = Signal(object)
    """Path of the image file that the labels belong to."""
    no_geometry_asked = Signal()
    """Save without anatomical geometry."""

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        title: str = "Save labels",
        tooltip: str = "Write all objects as one label map on the image's own grid.",
        files: str = _FILES,
        kinds: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        super().__init__(parent)
        self._title, self._files = title, files
        self.path = QLineEdit()
        self.path.setPlaceholderText("labels.nii.gz")
        self.browse = QPushButton("...")
        self.browse.setToolTip("Choose where to save.")
        self.browse.setMaximumWidth(32)
        self.save = QPushButton(title)
        self.save.setToolTip(tooltip)
        self.question = WrappedLabel()
        self.choose = QPushButton("Choose image file ...")
        self.without = QPushButton("Save without")
        for button in (self.browse, self.save, self.choose, self.without):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.kinds = QComboBox()
        self.kinds.setToolTip("The format to save in.")
        self.kinds.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.kinds.setMinimumContentsLength(8)
        self.kinds.setVisible(bool(kinds))
        for name, ending, kind in kinds:
            self.kinds.addItem(name, (ending, kind))
        self.kinds.activated.connect(self._on_kind)
        layout.addWidget(self.path, 0, 0, 1, 2)
        layout.addWidget(self.browse, 0, 2)
        if kinds:
            layout.addWidget(self.kinds, 1, 0)
            layout.addWidget(self.save, 1, 1, 1, 2)
            layout.setColumnStretch(0, 1)
        else:
            layout.addWidget(self.save, 1, 0, 1, 3)
        layout.addWidget(self.question, 2, 0, 1, 3)
        layout.addWidget(self.choose, 3, 0, 1, 3)
        layout.addWidget(self.without, 4, 0, 1, 3)
        self.browse.clicked.connect(self._browse)
        self.save.clicked.connect(self._save)
        self.choose.clicked.connect(self._choose)
        self.without.clicked.connect(self.no_geometry_asked)
        self.ask("")

    def suggest(self, path: Path) -> None:
        """Offer a path."""
        self.path.setText(str(path))
        self.path.setToolTip(str(path))
        self.path.setCursorPosition(len(str(path)))

    @property
    def target(self) -> Path:
        """The path that is typed."""
        return Path(self.path.text() or self.path.placeholderText()).expanduser()

    @property
    def kind(self) -> str:
        """What saving calls the chosen format.

        Empty where the ending of the path says it.
        """
        chosen = self.kinds.currentData()
        return "" if chosen is None else str(chosen[1])

    def _on_kind(self) -> None:
        """Give the path the ending of the chosen format."""
        ending, kind = self.kinds.currentData()
        path = self.target
        if kind == "bids":
            self.suggest(path.parent / "derivatives" / "napari-sam2")
            return
        stem = without_suffix(path.name) if not self._was_bids(path) else "labels"
        folder = path.parent.parent if self._was_bids(path) else path.parent
        self.suggest(folder / f"{stem.removesuffix('_objects')}{ending}")

    @staticmethod
    def _was_bids(path: Path) -> bool:
        return path.parts[-2:] == ("derivatives", "napari-sam2")

    def ask(self, question: str) -> None:
        """Ask for the image file.

        Or stop asking when there is no question.
        """
        self.question.setText(question)
        for widget in (self.question, self.choose, self.without):
            widget.setVisible(bool(question))

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, self._title, self.path.text(), self._files)
        if chosen:
            self.suggest(Path(chosen))
            self._save()

    def _save(self) -> None:
        self.save_asked.emit(self.target)

    def _choose(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "The image these labels belong to", "", _IMAGES)
        if chosen:
            self.reference_given.emit(Path(chosen))
