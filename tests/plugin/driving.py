"""Driving a real napari window: where things are on the canvas, and mouse and keys as a person has them."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NO_KEY = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
LEFT = Qt.MouseButton.LeftButton
RIGHT = Qt.MouseButton.RightButton


def pump(seconds: float = 0.05) -> None:
    """Let Qt run."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Let Qt run until something is true."""
    end = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            raise AssertionError("It did not happen in time.")
        QApplication.processEvents()
        time.sleep(0.002)


def canvas(viewer: Any) -> Any:
    """The Qt widget of the canvas."""
    return viewer.window._qt_viewer.canvas.native


def canvas_position(viewer: Any, world: Sequence[float]) -> QPoint:
    """Where a world position is on the canvas, in pixels."""
    camera = viewer.scene.camera
    rows, cols = (int(d) - viewer.dims.ndim for d in viewer.dims.displayed)
    height, width = viewer.canvas.size
    centre_row, centre_col = camera.center[-2:]
    _, vertical, horizontal = (str(o.value) for o in camera.orientation)
    down = camera.zoom * (1 if vertical == "down" else -1)
    right = camera.zoom * (1 if horizontal == "right" else -1)
    return QPoint(
        round(width / 2 + (world[cols] - centre_col) * right), round(height / 2 + (world[rows] - centre_row) * down)
    )


def click(viewer: Any, world: Sequence[float], button: Any = LEFT, keys: Any = NO_KEY) -> None:
    """Press and release at a place."""
    at = canvas_position(viewer, world)
    QTest.mouseMove(canvas(viewer), at)
    pump(0.02)
    QTest.mouseClick(canvas(viewer), button, keys, at)


def drag(viewer: Any, start: Sequence[float], end: Sequence[float], button: Any = LEFT, keys: Any = NO_KEY) -> None:
    """Press, move in steps, release."""
    native = canvas(viewer)
    first, last = canvas_position(viewer, start), canvas_position(viewer, end)
    QTest.mousePress(native, button, keys, first)
    pump(0.02)
    for share in np.linspace(0, 1, 6):
        at = QPoint(
            round(first.x() + (last.x() - first.x()) * share), round(first.y() + (last.y() - first.y()) * share)
        )
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(at),
            QPointF(native.mapToGlobal(at)),
            Qt.MouseButton.NoButton,
            button,
            keys,
        )
        QApplication.sendEvent(native, event)
        pump(0.02)
    QTest.mouseRelease(native, button, keys, last)
    pump(0.02)


def activate(viewer: Any) -> None:
    """Make the window the active one: shortcuts and completers belong to it."""
    with warnings.catch_warnings():
        # Deprecated in Qt 6, without another way that works where nothing manages windows.
        warnings.simplefilter("ignore", DeprecationWarning)
        QApplication.setActiveWindow(viewer.window._qt_window)


def press(viewer: Any, key: Any, keys: Any = NO_KEY) -> None:
    """Press a key with the canvas in focus."""
    activate(viewer)
    canvas(viewer).setFocus()
    QTest.keyClick(canvas(viewer), key, keys)
    pump(0.02)
