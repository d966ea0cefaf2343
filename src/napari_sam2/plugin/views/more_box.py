"""What is seldom changed, folded away: the range of slices, and who keeps a voxel that two objects claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_sam2.plugin.views.range_box import RangeBox

if TYPE_CHECKING:
    from napari_sam2.plugin.actions import Actions

__all__ = ["MoreBox"]

OVERLAP_TITLES: Final = {"first": "first object wins", "last": "last object wins"}


class MoreBox(QCollapsible):
    """Folded until it is opened.

    Parameters
    ----------
    actions : Actions
        What its buttons do.
    """

    overlap_chosen = Signal(str)
    """One of `napari_sam2.labels.OVERLAP_RULES`."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__("", parent, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.content().layout().setContentsMargins(0, 0, 0, 0)
        # napari paints a checked button in its highlight colour; this one is a headline.
        self.toggleButton().setStyleSheet("text-align: left; border: none; background: transparent;")
        self.range = RangeBox(actions)
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
        layout.addLayout(form)
        self.addWidget(inside)
        # As text, because superqt's own icons keep the colour of the theme in which they were made.
        self.toggled.connect(lambda open_: self.setText("▾ More" if open_ else "▸ More"))
        self.setText("▸ More")
        self.collapse(animate=False)

    def show_overlap(self, rule: str) -> None:
        """Show the rule that holds."""
        self.overlap.setCurrentIndex(self.overlap.findData(rule))
