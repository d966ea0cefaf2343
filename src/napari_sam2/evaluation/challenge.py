"""Prompts and areas of the CVPR 2025 challenge.

For interactive 3-D segmentation, as its scripts compute them.

Source: ``get_boxes.py`` and ``CVPR25_iter_eval.py`` of github.com/JunMa11/CVPR-MedSegFMCompetition, read in
November 2025. Its boxes are loosened by up to 5 pixels in 256; here they are tight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.core.prompts import Box, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["CLICKS", "area_under_clicks", "error_click", "extent_of", "middle_box"]

CLICKS: Final = 5
"""Clicks after the box."""

TIE_SEED: Final = 42
"""Seed with which the organisers choose among equally deep voxels."""


def middle_box(truth: NDArray[np.bool_], axis: int) -> Box:
    """The tight box on the middle slice of an object.

    Parameters
    ----------
    truth : (I, J, K) bool array
        The object; not empty.
    axis : int
        Slice axis. The middle slice is the one that holds the median voxel.
    """
    indices = np.nonzero(truth)[axis]
    middle = int(np.sort(indices)[len(indices) // 2])
    section = np.take(truth, middle, axis)
    low, high = ([int(edge) for edge in edges] for edges in _bounds(section))
    low.insert(axis, middle)
    high.insert(axis, middle)
    return Box(((low[0], low[1], low[2]), (high[0], high[1], high[2])))


def extent_of(truth: NDArray[np.bool_], axis: int) -> range:
    """The slices from the first to the last with the object.

    Across `axis`.
    """
    held = np.flatnonzero(truth.any(axis=tuple(a for a in range(truth.ndim) if a != axis)))
    return range(int(held[0]), int(held[-1]) + 1)


def error_click(answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Point | None:
    """The next click: deepest in the largest error.

    The largest error is the 26-connected part of the difference with most voxels; depth is the distance to its
    outside in voxels, whatever their size in millimetres. None when there is no error.

    Parameters
    ----------
    answer, truth : (I, J, K) bool array
        On one grid.
    """
    parts, count = ndimage.label(answer != truth, np.ones((3, 3, 3), bool))
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    crop = ndimage.find_objects(parts, max_label=largest)[largest - 1]
    depth = ndimage.distance_transform_edt(np.pad(parts[crop] == largest, 1))[1:-1, 1:-1, 1:-1]
    deepest = np.argwhere(depth == depth.max())
    chosen = deepest[np.random.RandomState(TIE_SEED).choice(len(deepest))]
    i, j, k = (int(at) + part.start for at, part in zip(chosen, crop, strict=True))
    return Point((i, j, k), positive=bool(truth[i, j, k]))


def area_under_clicks(values: Sequence[float]) -> float:
    """Area under the scores after each click, by trapezoids.

    At most 4 for five clicks; the box is not in it.
    """
    return float(np.trapezoid(np.asarray(values, float)))


def _bounds(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    places = np.argwhere(mask)
    return places.min(axis=0), places.max(axis=0)
