"""Gestures made while an image is still being opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_sam2.plugin.canvas.gestures import GestureTarget

__all__ = ["EarlyGestures"]


class EarlyGestures:
    """A gesture target that keeps gestures until the image is there.

    Gestures are clicks and boxes.

    Parameters
    ----------
    is_opening : callable
        Whether an image is being opened now; what is pointed at with none on its way is dropped.
    """

    def __init__(self, is_opening: Callable[[], bool]) -> None:
        self._is_opening = is_opening
        self._kept: list[Callable[[GestureTarget], None]] = []

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """Keep a click."""
        self._keep(lambda target: target.click_at(world, positive=positive))

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Keep a box."""
        self._keep(lambda target: target.box_between(start, end))

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """Nothing is shown of a box that is drawn too early."""

    def hover_at(self, world: Sequence[float]) -> None:
        """There is nothing to preview yet."""

    draws = False

    def stroke_preview(self, path: Sequence[Sequence[float]]) -> None:
        """There is nothing to draw on yet."""

    def stroke_along(self, path: Sequence[Sequence[float]]) -> None:
        """There is nothing to draw on yet."""

    def replay(self, target: GestureTarget) -> None:
        """Do what was pointed at while the image was being opened."""
        kept, self._kept = self._kept, []
        for gesture in kept:
            gesture(target)

    def forget(self) -> None:
        """Forget what was pointed at."""
        self._kept.clear()

    def _keep(self, gesture: Callable[[GestureTarget], None]) -> None:
        if self._is_opening():
            self._kept.append(gesture)
