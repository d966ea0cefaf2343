"""A progress bar that waits its turn to be drawn.

`QProgressBar.setValue` repaints at once, and with it the canvas behind it: during a run that costs more
than the run's own results.
"""

from __future__ import annotations

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["ProgressBar"]

_HEIGHT = 24


class ProgressBar(QWidget):
    """A bar with a sentence in it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.share = 0.0
        self.text = ""
        self.setMinimumHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_progress(self, share: float, text: str) -> None:
        """Fill `share` (0 to 1) of the bar."""
        self.share, self.text = share, text
        self.setAccessibleName(text)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw it in the theme's colours."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.color(QPalette.ColorRole.Base))
        filled = QRectF(0, 0, self.width() * min(1.0, max(0.0, self.share)), self.height())
        painter.fillRect(filled, palette.color(QPalette.ColorRole.Highlight))
        painter.setPen(palette.color(QPalette.ColorRole.Text))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text)
        painter.end()
