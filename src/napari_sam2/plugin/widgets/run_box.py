"""Propagation in place: direction buttons, progress with the time left, and Stop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.progress_bar import ProgressBar

if TYPE_CHECKING:
    from napari_sam2.plugin.control.actions import Actions
    from napari_sam2.plugin.scan.propagation import Progress

__all__ = ["RunBox"]


class RunBox(QWidget):
    """Buttons that become a progress bar with Stop while a run goes on.

    Parameters
    ----------
    actions : Actions
        What the buttons do.
    """

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.both = action_button("propagate_both", actions.propagate_both)
        self.back = action_button("propagate_backward", actions.propagate_backward)
        self.forward = action_button("propagate_forward", actions.propagate_forward)
        self.stop = action_button("stop", actions.stop)
        self.bar = ProgressBar()
        self.range = QLabel()
        self.range.setToolTip("Runs write these slices only.")
        self.clear_range = action_button("clear_range", actions.clear_range)
        # Not one grid: a row of which nothing is shown takes the space between the others with it.
        directions, limits = QHBoxLayout(), QHBoxLayout()
        for row, pair in ((directions, (self.back, self.forward)), (limits, (self.range, self.clear_range))):
            for widget in pair:
                row.addWidget(widget, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.both, self.bar, self.stop):
            layout.addWidget(widget)
        layout.addLayout(directions)
        layout.addLayout(limits)
        self.show_progress(None)
        self.show_range(None)

    def show_range(self, ends: tuple[int, int] | None) -> None:
        """Say to which slices runs are limited, with the way out beside it; None: to none."""
        self.range.setVisible(ends is not None)
        self.clear_range.setVisible(ends is not None)
        if ends is not None:
            self.range.setText(f"Slices {ends[0]} to {ends[1]}")

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far a run is; None when there is none."""
        running = progress is not None
        for widget, visible in (
            (self.both, not running),
            (self.back, not running),
            (self.forward, not running),
            (self.bar, running),
            (self.stop, running),
        ):
            widget.setVisible(visible)
        if progress is None:
            return
        left = progress.seconds_left
        wait = "" if math.isnan(left) else f", at most {left:.0f} s left"
        of = f" of {progress.total}" if progress.total else ""
        self.bar.show_progress(progress.done / max(1, progress.total), f"{progress.done}{of} slices{wait}")
