"""Segmenting a region without prompts.

How large objects are, where, and how far a run is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QLineEdit, QPushButton, QWidget

from napari_sam2.plugin.widgets.folded_box import FoldedBox
from napari_sam2.plugin.widgets.progress_bar import ProgressBar

if TYPE_CHECKING:
    from napari_sam2.plugin.control.progress import Progress
    from napari_sam2.slides.automatic.run import AutomaticRequest

__all__ = ["WHAT", "WHERE", "AutomaticBox"]

WHAT: Final = {
    "objects": ("objects of the model", "60 um", "60 px"),
    "nuclei": ("nuclei", "8 um", "30 px"),
}
"""What may be looked for: its title, and the size that is offered with and without known microns."""

WHERE: Final = {
    "region": "drawn region",
    "view": "what is on screen",
    "tissue": "all tissue",
}

_DRAFT: Final = (
    "A draft, not a result: it looks for objects of about this size, finds texture too, and misses much smaller "
    "and larger ones. Go through what it finds with J."
)


class AutomaticBox(FoldedBox):
    """A box to segment a region, folded until it is opened.

    Buttons become a progress bar with Stop while a run goes on.
    """

    begun = Signal(str, str, str)
    """What and where (keys of `WHAT` and `WHERE`), and the size as it was typed."""
    stopped = Signal()
    resumed = Signal()
    discarded = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Find objects automatically (draft)", parent)
        self.what = QComboBox()
        self.what.setToolTip("Nuclei are found by their stain or light, without the model; other objects by the model.")
        for key, (title, *_) in WHAT.items():
            self.what.addItem(title, key)
        self.where = QComboBox()
        self.where.setToolTip(
            "The drawn region: shapes of the active Shapes layer of your own, else the current object's outline."
        )
        for key, title in WHERE.items():
            self.where.addItem(title, key)
        for box in (self.what, self.where):
            # So narrow a panel has no room for its longest entry beside the size.
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(6)
        self.size = QLineEdit("60 um")
        self.size.setToolTip(
            "Expected diameter of an object: 60 um, or 240 px of the full slide. Empty: as large as the selected "
            "outlines, or all that you made."
        )
        self.size.setPlaceholderText("as drawn")
        # napari gives fields 90 pixels at least.
        self.size.setStyleSheet("min-width: 66px; max-width: 66px; padding: 1px 4px;")
        self.find = QPushButton("Find objects")
        self.find.setToolTip(_DRAFT)
        self.stop = QPushButton("Stop  [Esc]")
        self.stop.setToolTip("End the run; tiles that are done are kept, and it can be gone on with.")
        self.resume = QPushButton("Go on")
        self.resume.setToolTip("Go on with the run that was stopped.")
        self.discard = QPushButton("Drop it")
        self.discard.setToolTip("Forget the run that was stopped.")
        self.bar = ProgressBar()
        inside = QWidget()
        layout = QGridLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.what, 0, 0)
        layout.addWidget(QLabel("of"), 0, 1)
        layout.addWidget(self.size, 0, 2)
        layout.addWidget(self.where, 1, 0, 1, 3)
        layout.addWidget(self.find, 2, 0, 1, 3)
        layout.addWidget(self.resume, 3, 0)
        layout.addWidget(self.discard, 3, 1, 1, 2)
        layout.addWidget(self.bar, 4, 0, 1, 3)
        layout.addWidget(self.stop, 5, 0, 1, 3)
        self.addWidget(inside)
        for button in (self.find, self.stop, self.resume, self.discard):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.find.clicked.connect(self._on_find)
        self.what.currentIndexChanged.connect(self._offer_size)
        self.stop.clicked.connect(self.stopped)
        self.resume.clicked.connect(self.resumed)
        self.discard.clicked.connect(self.discarded)
        self.collapse(animate=False)
        self._running = False
        self._unfinished = False
        self._knows_microns = True
        self._show()

    def suggest_size(self, knows_microns: bool) -> None:
        """Offer a size in a unit that means something here.

        Unless a person has typed one.
        """
        self._knows_microns = knows_microns
        self._offer_size()

    def show_progress(self, progress: Progress | None) -> None:
        """Show how many tiles are done, and of how many.

        None when there is no run.
        """
        if progress is not None:
            text = f"{progress.done} of {progress.total} tiles" if progress.total else "Looking ..."
            self.bar.show_progress(progress.done / max(progress.total, 1), text)
        if self._running != (progress is not None):
            self._running = progress is not None
            self._show()

    def show_unfinished(self, request: AutomaticRequest | None) -> None:
        """Offer to go on with a run that was stopped."""
        if self._unfinished != (request is not None):
            self._unfinished = request is not None
            if self._unfinished:
                self.expand(animate=False)
            self._show()

    def _on_find(self) -> None:
        self.begun.emit(self.what.currentData(), self.where.currentData(), self.size.text().strip())

    def _offer_size(self) -> None:
        if not self.size.isModified():
            _, microns, pixels = WHAT[self.what.currentData()]
            self.size.setText(microns if self._knows_microns else pixels)

    def _show(self) -> None:
        for widget, visible in (
            (self.find, not self._running and not self._unfinished),
            (self.resume, not self._running and self._unfinished),
            (self.discard, not self._running and self._unfinished),
            (self.bar, self._running),
            (self.stop, self._running),
        ):
            widget.setVisible(visible)
