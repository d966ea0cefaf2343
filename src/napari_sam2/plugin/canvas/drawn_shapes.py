"""What a drawn shape means as a prompt.

A box, the inside of a lasso, or clicks along a scribble.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.hand_tools.strokes import lassoed, scribbled
from napari_sam2.core.prompts import Box, MaskPrompt, Point, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["box_of", "fixed_axis", "outline_of"]

SMALLEST_BOX: Final = 2
"""Voxels along each side; a smaller rectangle comes from a click with an unsteady hand."""


def fixed_axis(voxels: NDArray[np.float64]) -> int | None:
    """The voxel axis in which all vertices (N, 3) agree.

    None when they lie on no slice.
    """
    spread = np.ptp(voxels, axis=0)
    axis = int(spread.argmin())
    return axis if spread[axis] < 0.5 and np.sum(spread < 0.5) < 3 else None


def box_of(voxels: NDArray[np.float64], shape: tuple[int, int, int]) -> Box | None:
    """The box around vertices (N, 3) on one slice.

    Cut at the volume's border; None when it is tiny.

    The border of the drawn rectangle says which voxels are meant: those whose centre it encloses.
    """
    axis = fixed_axis(voxels)
    if axis is None:
        return None
    last = np.array(shape) - 1
    at = int(np.floor(voxels[0, axis] + 0.5))
    low = np.ceil(voxels.min(axis=0) - 1e-6).astype(int)
    high = np.floor(voxels.max(axis=0) + 1e-6).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, last)
    in_plane = [n for n in range(3) if n != axis]
    if not 0 <= at <= last[axis] or any(high[n] - low[n] + 1 < SMALLEST_BOX for n in in_plane):
        return None
    low[axis] = high[axis] = at
    return Box(((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2]))))


def outline_of(voxels: NDArray[np.float64], kind: str, volume: Volume) -> list[Prompt]:
    """The mask or clicks that a drawn shape means.

    The mask inside a ``polygon``, or clicks along a ``path`` or ``line``; empty when off the slices.
    """
    axis = fixed_axis(voxels)
    if axis is None:
        return []
    index = int(np.floor(voxels[0, axis] + 0.5))
    if not 0 <= index < volume.shape[axis]:
        return []
    if kind in ("path", "line"):
        return _clicks_along(voxels, volume)
    in_plane = [n for n in range(3) if n != axis]
    shape = (volume.shape[in_plane[0]], volume.shape[in_plane[1]])
    mask = lassoed(voxels[:, in_plane], shape)
    return [MaskPrompt(mask, axis, index)] if mask.any() else []


def _clicks_along(voxels: NDArray[np.float64], volume: Volume) -> list[Prompt]:
    points = scribbled(voxels)
    inside = ((points >= -0.5) & (points <= np.array(volume.shape) - 0.5)).all(axis=1)
    return [Point((float(p[0]), float(p[1]), float(p[2]))) for p in np.round(points[inside], 3)]
