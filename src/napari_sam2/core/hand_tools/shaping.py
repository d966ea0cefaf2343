"""Shaping a mask in millimetres.

Grow, shrink, smooth, fill holes, keep one part.

Every function takes a mask of two or three dimensions with the spacing of its axes and returns a new one.
Distances are between voxel centres, so that a step shorter than the spacing of an axis changes nothing
along it: thick slices grow in their plane first, as they should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["fill_holes", "grow", "keep_largest", "keep_part", "shrink", "smooth"]

ROUNDING: Final = 1e-6
"""Relative; a distance that is equal on paper counts as equal."""


def grow(mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """A mask with every voxel that lies within a distance of it.

    Parameters
    ----------
    mask : bool array of two or three dimensions
    mm : float
        Distance from voxel centre to voxel centre, in millimetres.
    spacing : sequence of float
        Millimetres between voxels along each axis.
    """
    if not mask.any():
        return mask.copy()
    window = _around(mask, mm, spacing)
    grown = mask.copy()
    distance = ndimage.distance_transform_edt(~mask[window], sampling=spacing)
    grown[window] = distance <= mm * (1 + ROUNDING)
    return grown


def shrink(mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """A mask without the voxels within a distance of its outside.

    Beyond the array it does not end.

    Parameters are those of `grow`, whose mirror image this is: it grows the outside.
    """
    if not mask.any():
        return mask.copy()
    window = _around(mask, 0, spacing)
    shrunk = mask.copy()
    shrunk[window] = _depth(mask[window], spacing) > mm * (1 + ROUNDING)
    return shrunk


def smooth(mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """A mask without detail finer than a distance.

    It keeps nearly the same volume.

    The mask is blurred with a Gaussian of standard deviation `mm` and cut where as many voxels are left as
    before, so that thin parts do not cost volume; parameters are those of `grow`.
    """
    count = int(mask.sum())
    if count == 0 or mm <= 0:
        return mask.copy()
    window = _around(mask, 3 * mm, spacing)
    sigma = [mm / step for step in spacing]
    blurred = ndimage.gaussian_filter(mask[window].astype(np.float32), sigma, mode="nearest")
    least = np.partition(blurred.ravel(), blurred.size - count)[blurred.size - count]
    smoothed = np.zeros_like(mask)
    smoothed[window] = blurred >= max(float(least), ROUNDING)
    return smoothed


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask with the outside that it encloses, voxels touching by faces."""
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)


def keep_largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part.

    Voxels touch by faces, edges or corners. Of equal parts it is the first.
    """
    parts, count = ndimage.label(mask, _touching(mask.ndim))
    if count <= 1:
        return mask.copy()
    return np.asarray(parts == np.bincount(parts.ravel())[1:].argmax() + 1)


def keep_part(mask: NDArray[np.bool_], at: Sequence[int]) -> NDArray[np.bool_]:
    """The connected part at a place, or the part nearest to it.

    Voxels touch as in `keep_largest`.

    Parameters
    ----------
    mask : bool array
    at : sequence of int
        Index of the voxel that was clicked.
    """
    parts, count = ndimage.label(mask, _touching(mask.ndim))
    if count <= 1:
        return mask.copy()
    part = int(parts[tuple(at)])
    if part == 0:
        inside = np.argwhere(parts)
        nearest = inside[((inside - np.asarray(at)) ** 2).sum(axis=1).argmin()]
        part = int(parts[tuple(nearest)])
    return np.asarray(parts == part)


def _depth(mask: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Distance of each voxel inside to the nearest one outside; infinite where there is none."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing))


def _touching(n_axes: int) -> NDArray[np.bool_]:
    return np.ones((3,) * n_axes, dtype=bool)


def _around(mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]) -> tuple[slice, ...]:
    """The part of the array that a change within `mm` of a mask can reach."""
    window = []
    for axis, step in enumerate(spacing):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        reach = int(np.ceil(mm / step)) + 1
        window.append(slice(max(0, int(inside[0]) - reach), int(inside[-1]) + reach + 1))
    return tuple(window)
