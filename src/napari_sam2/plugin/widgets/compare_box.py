"""The page "Measure and compare": figures, another's labels, another scan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QPushButton, QWidget

from napari_sam2.io.formats import all_suffixes, dialog_filter
from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.folded_box import FoldedBox

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["CompareBox"]

NO_SCAN: Final = "No other scan is open"
CHOOSE: Final = "Saved labels of this scan, by another person or program; nothing of yours is changed."


class CompareBox(FoldedBox):
    """Folded until it is opened.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    work : callable
        Gives the work on the chosen scan, or None.
    """

    def __init__(
        self, do: Callable[[str], None], work: Callable[[], ScanWork | None], parent: QWidget | None = None
    ) -> None:
        super().__init__("Measure and compare", parent)
        self._work = work
        self.labels = QPushButton("Compare with ...")
        self.labels.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.labels.clicked.connect(self._choose_labels)
        self.scans = QComboBox()
        self.scans.setToolTip("The other scan of the same body: seen side by side, measured against, carried over.")
        self.scans.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.scans.setMinimumContentsLength(8)
        self.scans.activated.connect(self._choose_scan)
        self.measure, self.next = action_button("measure_objects", do), action_button("next_difference", do)
        self.beside, self.lay = action_button("toggle_side_by_side", do), action_button("lay_on", do)
        self.carry = action_button("carry_over", do)
        inside = QWidget()
        layout = QGridLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.measure, 0, 0, 1, 2)
        layout.addWidget(self.labels, 1, 0)
        layout.addWidget(self.next, 1, 1)
        layout.addWidget(self.scans, 2, 0, 1, 2)
        layout.addWidget(self.beside, 3, 0)
        layout.addWidget(self.lay, 3, 1)
        layout.addWidget(self.carry, 4, 0, 1, 2)
        self.addWidget(inside)
        self.collapse(animate=False)
        self.show_work(None)

    def show_work(self, work: ScanWork | None) -> None:
        """Show which scans are offered, and what is compared with."""
        offered = [] if work is None else work.other.offered
        names = [other.image.name for other in offered]
        if names != [self.scans.itemText(n) for n in range(self.scans.count())] or not names:
            self.scans.clear()
            for other in offered:
                self.scans.addItem(other.image.name, other)
            if not offered:
                self.scans.addItem(NO_SCAN)
        for widget in (self.scans, self.beside, self.carry, self.lay):
            widget.setEnabled(bool(offered))
        chosen = None if work is None else work.other.chosen
        self.scans.setCurrentIndex(offered.index(chosen) if chosen in offered else 0 if not offered else -1)
        name = "" if work is None else work.comparison.name
        self.next.setEnabled(bool(name))
        self.labels.setToolTip(f"Compared with {name}. Choose other labels." if name else CHOOSE)

    def _choose_scan(self, number: int) -> None:
        work, other = self._work(), self.scans.itemData(number)
        if work is not None and other is not None:
            work.other.choose(other)

    def _choose_labels(self) -> None:
        work = self._work()
        if work is None:
            return
        path = work.image_path()
        files = f"{dialog_filter('Label maps', all_suffixes())};;All files (*)"
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Labels to compare with", "" if path is None else str(path.parent), files
        )
        if chosen:
            work.comparison.open(Path(chosen))
