"""Snapping a mask to the edge in the image.

A random walker in a band around its border.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage
from skimage.segmentation import random_walker

from napari_sam2.core.hand_tools.shaping import grow, shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["snap_to_edge"]

EDGE_WEIGHT: Final = 130.0
"""How much an edge holds a walker back: scikit-image's default for intensities scaled by their spread."""

INSIDE, OUTSIDE = 1, 2
"""Seeds of the walker."""


def snap_to_edge(
    image: NDArray[np.floating], mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]
) -> NDArray[np.bool_]:
    """A mask whose border has moved to the nearest edge.

    It moves by at most a distance.

    What lies deeper than `mm` inside stays inside, what is farther than `mm` outside stays outside, and a
    random walk over the image decides about the band between.

    Parameters
    ----------
    image : float array
        Intensities on the grid of the mask.
    mask : bool array of two or three dimensions
    mm : float
        Half the width of the band, in millimetres; at least one voxel wide along the finest axis.
    spacing : sequence of float
        Millimetres between voxels along each axis.

    References
    ----------
    Grady, Random Walks for Image Segmentation, IEEE TPAMI 28 (2006).
    """
    mm = max(mm, min(spacing))
    window = _window(mask, mm, spacing)
    if window is None:
        return mask.copy()
    near, picture = mask[window], image[window].astype(np.float64)
    core = _core(near, mm, spacing)
    reached = grow(near, mm, spacing)
    if not core.any() or reached.all() or np.ptp(picture) == 0:
        return mask.copy()
    seeds = np.zeros(near.shape, dtype=np.int8)
    seeds[core] = INSIDE
    seeds[~reached] = OUTSIDE
    picture = (picture - picture.mean()) / picture.std()
    with warnings.catch_warnings():
        # scikit-image advises pyamg, which brings nothing for a band of some thousand voxels.
        warnings.filterwarnings("ignore", category=UserWarning, module="skimage")
        inside = random_walker(picture, seeds, beta=EDGE_WEIGHT, mode="cg_j", tol=1e-4, spacing=np.asarray(spacing))
    snapped = mask.copy()
    snapped[window] = inside == INSIDE
    return snapped


def _core(mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]) -> NDArray[np.bool_]:
    """What is certainly inside; of a part that is thinner than the band, its deepest voxels."""
    core = shrink(mask, mm, spacing)
    depth = ndimage.distance_transform_edt(mask, sampling=spacing)
    parts, count = ndimage.label(mask)
    deepest = ndimage.maximum(depth, parts, range(1, count + 1))
    for part, most in enumerate(deepest, start=1):
        own = parts == part
        if not (core & own).any():
            core |= own & (depth >= most * (1 - 1e-6))
    return core


def _window(mask: NDArray[np.bool_], mm: float, spacing: Sequence[float]) -> tuple[slice, ...] | None:
    if not mask.any():
        return None
    window = []
    for (first, last), step in zip(_extent(mask), spacing, strict=True):
        reach = int(np.ceil(mm / step)) + 2
        window.append(slice(max(0, first - reach), last + reach + 1))
    return tuple(window)


def _extent(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    inside = np.nonzero(mask)
    return [(int(along.min()), int(along.max())) for along in inside]
