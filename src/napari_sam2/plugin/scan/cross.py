"""The place where the planes of a scan meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.plugin.scan.view import ScanView
    from napari_sam2.plugin.scan.volumes import ShownVolume

__all__ = ["Cross", "middle_of"]


class Cross:
    """A voxel that all planes show; the canvas shows its slice.

    Parameters
    ----------
    shown : ShownVolume
        The scan.
    view : ScanView
        The canvas, which follows.
    """

    changed = Signal()

    def __init__(self, shown: ShownVolume, view: ScanView) -> None:
        self._shown, self._view = shown, view
        self._place = np.array([n // 2 for n in shown.volume.shape], dtype=int)

    @property
    def place(self) -> tuple[int, int, int]:
        """The voxel (i, j, k), on the slice that the canvas shows."""
        at = self._place.copy()
        on_view = self._view.slice()
        if on_view is not None:
            at[on_view[0]] = on_view[1]
        i, j, k = at.tolist()
        return i, j, k

    def meet_at(self, voxel: Sequence[float] | NDArray[np.float64]) -> None:
        """Let the other planes meet at a voxel.

        The canvas stays where it is.
        """
        last = np.array(self._shown.volume.shape) - 1
        self._place = np.clip(np.floor(np.asarray(voxel, dtype=float) + 0.5), 0, last).astype(int)
        self.changed.emit()

    def go_to(self, voxel: Sequence[float] | NDArray[np.float64]) -> None:
        """Let the planes meet at a voxel on the canvas.

        Its slice is shown there.
        """
        self.meet_at(voxel)
        on_view = self._view.slice()
        if on_view is not None and on_view[1] != self._place[on_view[0]]:
            self._view.go_to(on_view[0], int(self._place[on_view[0]]))


def middle_of(prompt: Prompt) -> tuple[float, float, float] | None:
    """Where a click or a box is; None for a painted mask."""
    corners = getattr(prompt, "corners", None)
    if corners is not None:
        i, j, k = ((a + b) / 2 for a, b in zip(*corners, strict=True))
        return i, j, k
    voxel: tuple[float, float, float] | None = getattr(prompt, "voxel", None)
    return voxel
