"""Gestures made while an image is still being opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EarlyGestures"]


class EarlyGestures:
    """Keeps what was pointed at too early, and does it when the image is there.

    Parameters
    ----------
    is_opening : callable
        Whether an image is being opened now; what is pointed at with none on its way is dropped.
    """

    def __init__(self, is_opening: Callable[[], bool]) -> None:
        self._is_opening = is_opening
        self._kept: list[Callable[[], None]] = []

    def replay(self) -> None:
        """Do what was pointed at while the image was being opened."""
        kept, self._kept = self._kept, []
        for gesture in kept:
            gesture()

    def forget(self) -> None:
        """Forget what was pointed at while the image was being opened."""
        self._kept.clear()

    def _keep(self, gesture: Callable[[], None]) -> None:
        if self._is_opening():
            self._kept.append(gesture)
