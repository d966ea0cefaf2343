"""The score strip.

Every slice of the current object in one bar, doubtful ones standing out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_sam2.plugin.scan.table_rows import StripContent

__all__ = ["ScoreStrip"]

_SURE: Final = (0.35, 0.55, 0.75)
_DOUBT: Final = (0.98, 0.45, 0.10)
"""Blue to orange, told apart in every common kind of colour vision."""

_HEIGHT: Final = 44
_OUTSIDE: Final = 0.75
"""How much of a slice outside the range is covered."""


class ScoreStrip(QWidget):
    """A bar whose height and colour show doubt.

    A mark below shows prompted and accepted slices. A click goes there; a drag with the right button or Shift limits
    runs to the slices under it.
    """

    slice_chosen = Signal(int)
    range_chosen = Signal(int, int)
    """First and last slice that runs may write, both inside."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.content = StripContent()
        self.setMinimumHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setToolTip(
            "Doubt by slice: tall and orange first. Click to go there; Shift-drag or right-drag limits runs to a range."
        )
        self._range_from: int | None = None

    def show_content(self, content: StripContent) -> None:
        """Show another object, slice or score."""
        if content != self.content:
            self.content = content
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the bar."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
        content = self.content
        if content.n_slices == 0:
            painter.end()
            return
        width = self.width() / content.n_slices
        room = self.height() - 7
        for index, doubt in content.doubts.items():
            tall = 4 + (room - 4) * min(1.0, doubt)
            painter.fillRect(QRectF(index * width, room - tall, max(width, 1.0), tall), _colour(doubt))
        text = self.palette().color(QPalette.ColorRole.Text)
        for index in content.prompted | content.accepted:
            accepted = index in content.accepted
            mark = QRectF(index * width, room + 1, max(width, 2.0), 5)
            painter.fillRect(mark, QColor.fromRgbF(*_SURE) if accepted else text)
        if content.allowed is not None:
            outside = self.palette().color(QPalette.ColorRole.Window)
            outside.setAlphaF(_OUTSIDE)
            first, last = content.allowed
            painter.fillRect(QRectF(0, 0, first * width, self.height()), outside)
            painter.fillRect(QRectF((last + 1) * width, 0, self.width(), self.height()), outside)
        if content.current is not None:
            painter.setPen(text)
            at = round((content.current + 0.5) * width)
            painter.drawLine(at, 0, at, self.height())
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go to the slice under the mouse, or begin a range there."""
        index = self._index_at(event)
        right = event.button() == Qt.MouseButton.RightButton
        if index is not None and (right or event.modifiers() & Qt.KeyboardModifier.ShiftModifier):
            self._range_from = index
        else:
            self._choose(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take the range that was drawn."""
        first, last = self._range_from, self._index_at(event)
        self._range_from = None
        if first is not None and last is not None and first != last:
            self.range_chosen.emit(min(first, last), max(first, last))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Say what is under the mouse.

        Follow it while the button is down.
        """
        index = self._index_at(event)
        if index is None:
            return
        if self._range_from is not None:
            ends = min(self._range_from, index), max(self._range_from, index)
            self.show_content(replace(self.content, allowed=ends))
        elif event.buttons() & Qt.MouseButton.LeftButton:
            self._choose(event)
        doubt = self.content.doubts.get(index)
        tip = f"Slice {index}" if doubt is None else f"Slice {index}: doubt {doubt:.2f}"
        QToolTip.showText(event.globalPosition().toPoint(), tip, self)

    def _choose(self, event: QMouseEvent) -> None:
        index = self._index_at(event)
        if index is not None:
            self.slice_chosen.emit(index)

    def _index_at(self, event: QMouseEvent) -> int | None:
        if self.content.n_slices == 0 or self.width() == 0:
            return None
        index = int(event.position().x() / self.width() * self.content.n_slices)
        return min(max(index, 0), self.content.n_slices - 1)


def _colour(doubt: float) -> QColor:
    share = min(1.0, max(0.0, doubt) * 1.5)
    return QColor.fromRgbF(*(a + (b - a) * share for a, b in zip(_SURE, _DOUBT, strict=True)))
