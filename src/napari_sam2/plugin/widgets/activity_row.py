"""One fixed row that says whether something is going on.

With Stop beside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from napari_sam2.plugin.widgets.buttons import action_button
from napari_sam2.plugin.widgets.progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.control.progress import Progress

__all__ = ["ActivityRow"]

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
        self._progress = progress
        self.stop.setEnabled(progress is not None)
        if progress is None:
            self._look()
            return
        left = progress.seconds_left
        wait = "" if math.isnan(left) else f", {left:.0f} s left at most"
        of = f" of {progress.total}" if progress.total else ""
        self.bar.show_progress(progress.done / max(1, progress.total), f"{progress.done}{of}{wait}")

    def _look(self) -> None:
        if self._progress is None or self._progress.total == 0:
            self.bar.show_busy(self._is_busy())
