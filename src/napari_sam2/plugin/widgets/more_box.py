"""What is seldom changed, folded away.

Range of slices, overlap rule, and the list of names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.plugin.widgets.folded_box import FoldedBox
from napari_sam2.plugin.widgets.range_box import RangeBox
from napari_sam2.terms.templates import template_files

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MoreBox"]

_NAME_FILES: Final = "Lists of names (*.csv *.tsv *.txt *.label);;All files (*)"

ANY_NAME: Final = "Any name"

OVERLAP_TITLES: Final = {"smallest": "smaller object wins", "first": "first object wins", "last": "last object wins"}


class MoreBox(FoldedBox):
    """Folded until it is opened.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    overlap_chosen = Signal(str)
    """One of `napari_sam2.core.labels.OVERLAP_RULES`."""
    names_chosen = Signal(object)
    """Path of a file with names."""
    names_dropped = Signal()
    """Offer the bundled names alone."""

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__("More", parent)
        self.range = RangeBox(do)
        self.overlap = QComboBox()
        self.overlap.setToolTip("Who keeps a voxel that two objects claim. Finished objects always keep theirs.")
        self.overlap.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.overlap.setMinimumContentsLength(8)
        for rule, title in OVERLAP_TITLES.items():
            self.overlap.addItem(title, rule)
        self.overlap.activated.connect(lambda: self.overlap_chosen.emit(self.overlap.currentData()))
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.range)
        form = QFormLayout()
        form.addRow("Overlap", self.overlap)
        form.addRow("Names", self._names_row())
        layout.addLayout(form)
        self.show_names("")
        self.addWidget(inside)
        self.collapse(animate=False)

    def _names_row(self) -> QHBoxLayout:
        self.names = QComboBox()
        self.names.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.names.setMinimumContentsLength(4)
        self.names.addItem(ANY_NAME, None)
        for name, path in template_files().items():
            self.names.addItem(name, path)
        self.names.activated.connect(self._on_list)
        self.load_names, self.drop_names = QPushButton("Load ..."), QPushButton("✕")
        self.load_names.setToolTip("Take names, codes and colours from a table (CSV) or an ITK-SNAP label file.")
        self.drop_names.setToolTip("Offer the bundled names alone.")
        self.drop_names.setMaximumWidth(28)
        self.load_names.clicked.connect(self._choose_names)
        self.drop_names.clicked.connect(self.names_dropped)
        row = QHBoxLayout()
        row.addWidget(self.names, 1)
        for button in (self.drop_names, self.load_names):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            row.addWidget(button)
        return row

    def show_names(self, file_name: str) -> None:
        """Show which file's names are offered; empty for the bundled list alone."""
        number = 0 if not file_name else self.names.findText(file_name.removesuffix(".csv"))
        if number < 0:
            self.names.addItem(file_name, None)
            number = self.names.count() - 1
        self.names.setCurrentIndex(number)
        self.names.setToolTip(
            "The list that names are offered from. Structures of a list with ids come one after the other with Next "
            "object."
        )
        self.drop_names.setVisible(bool(file_name))

    def _on_list(self, number: int) -> None:
        path = self.names.itemData(number)
        if path is not None:
            self.names_chosen.emit(path)
        elif number == 0:
            self.names_dropped.emit()

    def _choose_names(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Names, codes and colours", "", _NAME_FILES)
        if chosen:
            self.names_chosen.emit(Path(chosen))

    def show_overlap(self, rule: str) -> None:
        """Show the rule that holds."""
        self.overlap.setCurrentIndex(self.overlap.findData(rule))
