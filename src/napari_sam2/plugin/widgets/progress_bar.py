"""A bar with a sentence in it.

It waits its turn to be drawn.

`QProgressBar.setValue` repaints at once, and with it the canvas behind it: during a run that costs more
than the run's own results.
"""

from __future__ import annotations

import time
from typing import Final

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["ProgressBar"]

_HEIGHT: Final = 24

_RUNNER: Final = 0.25
"""Part of the bar that runs along it."""

_ROUND_SECONDS: Final = 1.6

_STEP_SECONDS: Final = 0.2
"""How often the running part moves: each step draws the canvas again."""


class ProgressBar(QWidget):
    """Progress with a sentence in it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.share = 0.0
        self.text = ""
        self.busy = False
        self._stepped = 0.0
        self.setMinimumHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_progress(self, share: float, text: str) -> None:
        """Fill `share` (0 to 1) of the bar."""
        self.share, self.text, self.busy = share, text, False
        self.setAccessibleName(text)
        self.update()

    def show_busy(self, busy: bool) -> None:
        """Let a part run along the bar, or empty it.

        It runs while something is worked on.
        """
        now = time.monotonic()
        if (busy and not self.busy) or (not busy and (self.busy or self.text)):
            self.share, self.busy, self.text = 0.0, busy, "Working ..." if busy else ""
            self.setAccessibleName(self.text)
        elif not busy or now - self._stepped < _STEP_SECONDS:
            return
        self._stepped = now
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw it in the theme's colours."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.color(QPalette.ColorRole.Base))
        painter.fillRect(self._filled(), palette.color(QPalette.ColorRole.Highlight))
        painter.setPen(palette.color(QPalette.ColorRole.Text))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text)
        painter.end()

    def _filled(self) -> QRectF:
        if self.busy:
            left = time.monotonic() % _ROUND_SECONDS / _ROUND_SECONDS * (1 - _RUNNER)
            return QRectF(left * self.width(), 0, _RUNNER * self.width(), self.height())
        return QRectF(0, 0, self.width() * min(1.0, max(0.0, self.share)), self.height())
