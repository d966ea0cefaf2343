"""One fixed row that says whether something is going on.

With Stop beside it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.control.progress import Progress

__all__ = ["ActivityRow"]

STALE_SECONDS = 5.0
"""Without anything new for so long, and for three times its own pace, a run has no time left that could be said."""

LOOK_MS = 50
"""How often is looked whether the inference thread works: a sign of work comes within a tenth of a second."""


class ActivityRow(QWidget):
    """A bar that says what is going on.

    It runs while the model works, and shows how far a run is.

    It keeps its place and height also when nothing goes on.

    Parameters
    ----------
    do : callable
        Does the action of a name.
    is_busy : callable
        Whether the inference thread has something to do.
    """

    def __init__(self, do: Callable[[str], None], is_busy: Callable[[], bool], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_busy = is_busy
        self._progress: Progress | None = None
        self._came = 0.0
        self.bar = ProgressBar()
        self.stop = action_button("stop", do)
        self.stop.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.stop)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.show_progress(None)

    def watch(self, on: bool) -> None:
        """Look whether the thread works, as long as the panel is seen."""
        if on:
            self._timer.start()
        else:
            self._timer.stop()

    def show_progress(self, progress: Progress | None) -> None:
        """Show how far a run is; None when there is none."""
        self._progress, self._came = progress, time.monotonic()
        self.stop.setEnabled(progress is not None)
        if progress is None:
            self._look()
            return
        left = progress.seconds_left
        self._show(progress, "" if math.isnan(left) else f", {left:.0f} s left at most")

    def _show(self, progress: Progress, wait: str) -> None:
        of = f" of {progress.total}" if progress.total else ""
        self.bar.show_progress(progress.done / max(1, progress.total), f"{progress.done}{of}{wait}")

    def _look(self) -> None:
        progress = self._progress
        if progress is None or progress.total == 0:
            self.bar.show_busy(self._is_busy())
            return
        pace = progress.seconds_left / max(1, progress.total - progress.done)
        if time.monotonic() - self._came > max(STALE_SECONDS, 3 * pace):
            # The server is away, or a slice takes longer than all before it: the last estimate is none any more.
            self._show(progress, ", waiting")
