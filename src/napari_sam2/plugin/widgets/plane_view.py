"""One plane of a scan beside the canvas.

Picture, cross, letters; clicks and boxes as on the canvas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sam2.core.prompts import Box
from napari_sam2.plugin.canvas.directions import letter_of
from napari_sam2.plugin.scan.plane_picture import plane_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QMouseEvent, QPaintEvent, QWheelEvent

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["PlaneView"]

_CROSS: Final = QColor(255, 220, 0, 150)
_BOX: Final = QColor(255, 180, 40)
_NEAR: Final = 4
"""Pixels; a press that moved less is a click."""


class PlaneView(QWidget):
    """A view that paints slices itself.

    A second canvas of napari draws several times slower without a graphics card.
    """

    clicked = Signal(object, int, bool)
    """Voxel (3,), slice axis, whether it includes."""
    boxed = Signal(object, object, int)
    """Voxels of two corners, slice axis."""
    moved = Signal(object)
    """The voxel to go to."""
    double_clicked = Signal(object)
    """The voxel under it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work: ScanWork | None = None
        self.axis = 0
        self._place = (0, 0, 0)
        self._picture: NDArray[np.uint8] | None = None
        self._pressed: QPointF | None = None
        self._at: QPointF | None = None
        self._boxing = False
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_plane(self, work: ScanWork | None, axis: int, place: tuple[int, int, int] | None = None) -> None:
        """Show the slice across `axis` in which a voxel lies.

        By default that of the cross.
        """
        self._work, self.axis = work, axis
        if work is None:
            self._picture = None
        else:
            self._place = work.cross.place if place is None else place
            self._picture = np.ascontiguousarray(plane_picture(work, axis, self._place[axis]))
            self.setToolTip(
                f"{work.shown.volume.plane_name(axis).capitalize()} slice {self._place[axis]}. Click includes, "
                "right-click excludes, Shift-drag draws a box, drag or wheel moves."
            )
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw picture, cross, letters, and the box in the hand."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if self._picture is not None and self._work is not None:
            rows, cols = self._picture.shape[:2]
            image = QImage(self._picture.data, cols, rows, 3 * cols, QImage.Format.Format_RGB888)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self._frame(), image)
            self._draw_cross(painter)
            self._draw_letters(painter, self._work)
            self._draw_boxes(painter, self._work)
            if self._boxing and self._pressed is not None and self._at is not None:
                painter.setPen(QPen(_BOX, 2))
                painter.drawRect(QRectF(self._pressed, self._at).normalized())
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Begin a click, a box or a move."""
        self._pressed = self._at = event.position()
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._boxing = shift and event.button() == Qt.MouseButton.LeftButton

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Draw the box, or take the cross along."""
        self._at = event.position()
        if self._boxing:
            self.update()
        elif event.buttons() & Qt.MouseButton.LeftButton and self._has_moved():
            self.moved.emit(self.voxel_at(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """End a click or a box."""
        pressed, boxing, has_moved = self._pressed, self._boxing, self._has_moved()
        self._pressed, self._boxing = None, False
        if pressed is None or self._work is None:
            return
        first, last = self.voxel_at(pressed), self.voxel_at(event.position())
        if boxing:
            self.update()
            if has_moved:
                self.boxed.emit(first, last, self.axis)
        elif not has_moved:
            control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            self.clicked.emit(last, self.axis, event.button() == Qt.MouseButton.LeftButton and not control)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Tell it; two quick clicks are still two clicks."""
        if self._work is not None:
            self.double_clicked.emit(self.voxel_at(event.position()))
        super().mouseDoubleClickEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Go to the next slice."""
        place = list(self._place)
        place[self.axis] += 1 if event.angleDelta().y() > 0 else -1
        self.moved.emit(place)

    def voxel_at(self, position: QPointF) -> NDArray[np.float64]:
        """The voxel (3,), not rounded, under a position of the widget."""
        work = self._work
        if work is None or self._picture is None:
            raise RuntimeError("Nothing is shown.")
        frame = self._frame()
        rows, cols = self._picture.shape[:2]
        row = (position.y() - frame.top()) / frame.height() * rows - 0.5
        col = (position.x() - frame.left()) / frame.width() * cols - 0.5
        plane = work.shown.volume.plane(self.axis)
        voxel: NDArray[np.float64] = plane.to_voxel(np.array([[row, col]]), self._place[self.axis])[0]
        return voxel

    def position_of(self, voxel: NDArray[np.float64]) -> QPointF:
        """Where a voxel is on the widget."""
        work, frame = self._work, self._frame()
        if work is None or self._picture is None:
            raise RuntimeError("Nothing is shown.")
        row, col = work.shown.volume.plane(self.axis).to_plane(np.asarray([voxel], dtype=float))[0]
        rows, cols = self._picture.shape[:2]
        return QPointF(
            frame.left() + (col + 0.5) / cols * frame.width(), frame.top() + (row + 0.5) / rows * frame.height()
        )

    def _frame(self) -> QRectF:
        """Where the picture lies: as large as it fits, in true proportions."""
        if self._picture is None or self._work is None:
            return QRectF(self.rect())
        rows, cols = self._picture.shape[:2]
        row_mm, col_mm = self._work.shown.volume.plane(self.axis).spacing
        height, width = rows * row_mm, cols * col_mm
        scale = min(self.width() / width, self.height() / height)
        size = (width * scale, height * scale)
        return QRectF((self.width() - size[0]) / 2, (self.height() - size[1]) / 2, *size)

    def _draw_cross(self, painter: QPainter) -> None:
        painter.setPen(QPen(_CROSS, 1))
        at, frame = self.position_of(np.array(self._place, dtype=float)), self._frame()
        painter.drawLine(QPointF(frame.left(), at.y()), QPointF(frame.right(), at.y()))
        painter.drawLine(QPointF(at.x(), frame.top()), QPointF(at.x(), frame.bottom()))

    def _draw_letters(self, painter: QPainter, work: ScanWork) -> None:
        volume = work.shown.volume
        if not volume.oriented:
            return
        corner, down, right = volume.plane(self.axis).to_voxel(np.array([[0.0, 0], [1, 0], [0, 1]]), 0)
        turn = np.asarray(volume.affine)[:3, :3]
        down, right = turn @ (down - corner), turn @ (right - corner)
        painter.setPen(QColor(255, 255, 255))
        inside = QRectF(self.rect()).adjusted(4, 2, -4, -2)
        for direction, where in (
            (-down, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter),
            (down, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter),
            (-right, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
            (right, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter),
        ):
            painter.drawText(inside, where, letter_of(direction))

    def _draw_boxes(self, painter: QPainter, work: ScanWork) -> None:
        """The boxes of the current object that lie on this slice."""
        painter.setPen(QPen(_BOX, 2))
        for prompt in work.current_object.prompts:
            if isinstance(prompt, Box) and prompt.fixed_axes == (self.axis,):
                first, last = (np.array(corner, dtype=float) for corner in prompt.corners)
                if first[self.axis] == self._place[self.axis]:
                    painter.drawRect(QRectF(self.position_of(first), self.position_of(last)).normalized())

    def _has_moved(self) -> bool:
        if self._pressed is None or self._at is None:
            return False
        return bool((self._at - self._pressed).manhattanLength() > _NEAR)
