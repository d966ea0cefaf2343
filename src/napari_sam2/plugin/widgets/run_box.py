"""Propagation in place: direction buttons, progress with the time left, and Stop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.control.progress import Progress

__all__ = ["RunBox"]


class RunBox(QWidget):
    """Buttons for runs, and a bar while one goes on.

    They become a progress bar with Stop.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    """

    def __init__(self, do: Callable[[str], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.both = action_button("propagate_both", do)
        self.back = action_button("propagate_backward", do)
        self.forward = action_button("propagate_forward", do)
        self.stop = action_button("stop", do)
        self.bar = ProgressBar()
        self.range = QLabel()
        self.range.setToolTip("Runs write these slices only.")
        self.clear_range = action_button("clear_range", do)
        directions, limits = QHBoxLayout(), QHBoxLayout()
        for row, pair in ((directions, (self.back, self.forward)), (limits, (self.range, self.clear_range))):
            for widget in pair:
                row.addWidget(widget, 1)
        idle, running = QWidget(), QWidget()
        for page in (idle, running):
            QVBoxLayout(page).setContentsMargins(0, 0, 0, 0)
        idle.layout().addWidget(self.both)
        idle.layout().addLayout(directions)
        running.layout().addWidget(self.bar)
        running.layout().addWidget(self.stop)
        # Pages of one height: nothing below moves when a run begins or ends.
        self._pages = QStackedWidget()
        self._pages.addWidget(idle)
        self._pages.addWidget(running)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
        layout.addLayout(limits)
        self.show_progress(None)
        self.show_range(None)

    def show_range(self, ends: tuple[int, int] | None) -> None:
        """Say to which slices runs are limited.

        With the way out beside it; None: to none.
        """
        self.range.setVisible(ends is not None)
        self.clear_range.setVisible(ends is not None)
        if ends is not None:
            self.range.setText(f"Slices {ends[0]} to {ends[1]}")

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far a run is; None when there is none."""
        self._pages.setCurrentIndex(0 if progress is None else 1)
        if progress is None:
            return
        left = progress.seconds_left
        wait = "" if math.isnan(left) else f", at most {left:.0f} s left"
        of = f" of {progress.total}" if progress.total else ""
        self.bar.show_progress(progress.done / max(1, progress.total), f"{progress.done}{of} slices{wait}")
