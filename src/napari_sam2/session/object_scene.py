"""An object and its scan as corrections see them: slices, rows and columns, one grey value per voxel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.prompts import Box, Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Window
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["ObjectScene"]


class ObjectScene:
    """An object and its scan, as `napari_sam2.engine.correction_evidence.Scene` wants them."""

    def __init__(self, state: SessionState, obj: ObjectRecord) -> None:
        self._volume, self._window, self._obj = state.volume, state.window, obj
        self._plane = state.volume.plane(obj.axis)
        self.shape = (self._plane.n_slices, *self._plane.shape)
        self.spacing = (self._plane.slice_spacing, *self._plane.spacing)

    def voxel(self, click: Point) -> tuple[int, int, int]:
        """(slice, row, column) of the voxel that holds a click."""
        row, col = np.floor(self._plane.to_plane(np.array(click.voxel)) + 0.5).astype(int)
        height, width = self._plane.shape
        index = min(max(math.floor(click.voxel[self._plane.axis] + 0.5), 0), self._plane.n_slices - 1)
        return index, min(max(int(row), 0), height - 1), min(max(int(col), 0), width - 1)

    def full(self, index: int) -> NDArray[np.bool_]:
        """The object on a whole slice."""
        result = self._obj.results.get(index)
        return np.zeros(self._plane.shape, dtype=bool) if result is None else result.mask.full(self._plane.shape)

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """The object inside a window."""
        return np.stack([self.full(i)[window[1:]] for i in range(window[0].start, window[0].stop)])

    def image(self, window: Window) -> NDArray[np.float32]:
        """Grey values in [0, 1] inside a window."""
        slices = range(window[0].start, window[0].stop)
        taken = np.stack([self._plane.take(self._volume.voxels, i)[window[1:]] for i in slices])
        seen = self._window.apply(taken)
        return seen.mean(axis=-1, dtype=np.float32) if seen.ndim > 3 else seen

    def boxes(self) -> dict[int, tuple[slice, slice]]:
        """Rows and columns inside the last box of each boxed slice."""
        found = {}
        for prompt in self._obj.prompts:
            if isinstance(prompt, Box) and prompt.fixed_axes == (self._plane.axis,):
                corners = self._plane.to_plane(np.array(prompt.corners)).astype(int)
                (row0, col0), (row1, col1) = corners.min(axis=0), corners.max(axis=0)
                found[prompt.slice_index(self._plane.axis)] = (slice(row0, row1 + 1), slice(col0, col1 + 1))
        return found
