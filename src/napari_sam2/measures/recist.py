"""Long and short axis of an object after RECIST.

They lie in its axial slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["Line", "RecistAxes", "recist_axes"]

Line = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Two ends (i, j, k), in voxels of the whole volume, not rounded."""


@dataclass(frozen=True, slots=True)
class RecistAxes:
    """Both diameters of an object, and where they lie.

    Attributes
    ----------
    long_mm, short_mm : float
        Of the region's convex outline, from voxel edge to voxel edge; the short axis is the longest chord at right
        angles to the long one.
    index : int
        The slice they lie on.
    long_line, short_line : Line
        Their ends.
    """

    long_mm: float
    short_mm: float
    index: int
    long_line: Line
    short_line: Line


def recist_axes(crop: NDArray[np.bool_], start: NDArray[Any], volume: Volume) -> RecistAxes:
    """The longest axial diameter of a region, and the one across.

    The region is connected.

    Parameters
    ----------
    crop : (A, B, C) bool array
        The object, cut to its bounding box.
    start : (3,) array of int
        Where the crop begins in the volume.
    volume : Volume
        Its grid.

    """
    from scipy import ndimage

    axis = volume.axis_of_plane("axial")
    rows, cols = (a for a in range(3) if a != axis)
    # Both in-plane steps as 2-D vectors, from their lengths and the angle between them.
    a, b = volume.affine[:3, rows], volume.affine[:3, cols]
    length = float(np.linalg.norm(a))
    along = float(a @ b) / length
    step = np.array([[length, 0.0], [along, math.sqrt(max(float(b @ b) - along * along, 0.0))]])
    longest, index, lines = 0.0, 0, np.zeros((2, 2, 2))
    for number, mask in enumerate(np.moveaxis(crop, axis, 0)):
        regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
        for region in range(1, count + 1):
            found = _diameters(_corners(regions == region) @ step)
            length = float(np.linalg.norm(found[0, 1] - found[0, 0]))
            if length > longest:
                longest, index, lines = length, number, found
    on_grid = lines @ np.linalg.inv(step)
    ends = np.empty((2, 2, 3))
    ends[..., rows], ends[..., cols], ends[..., axis] = on_grid[..., 0], on_grid[..., 1], index
    ends += start
    across = float(np.linalg.norm(lines[1, 1] - lines[1, 0]))
    return RecistAxes(longest, across, index + int(start[axis]), _line(ends[0]), _line(ends[1]))


def _line(ends: NDArray[np.float64]) -> Line:
    (a, b, c), (d, e, f) = ends.tolist()
    return (a, b, c), (d, e, f)


def _corners(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (N, 2) of the first and last pixel of each row: they span the convex outline."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    ends = [np.stack([rows + r, cols + c], axis=1) for r in (-0.5, 0.5) for cols, c in ((first, -0.5), (last, 0.5))]
    return np.concatenate(ends)


def _diameters(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longest diameter of the convex hull, and the longest chord at right angles to it.

    Returns (2, 2, 2): both lines by their two ends.
    """
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import cdist

    hull = points[ConvexHull(points).vertices]
    distances = cdist(hull, hull)
    one, other = np.unravel_index(distances.argmax(), distances.shape)
    direction = (hull[other] - hull[one]) / distances[one, other]
    normal = np.array([-direction[1], direction[0]])
    t, s = hull @ direction, hull @ normal
    # The chord's length is concave and piecewise linear along the diameter: its maximum is at a vertex.
    above = s >= s[one] - 1e-9
    below = s <= s[one] + 1e-9
    high, low = _chain(t, t[above], s[above], upper=True), _chain(t, t[below], s[below], upper=False)
    widest = int((high - low).argmax())
    foot = t[widest] * direction
    chord = [foot + low[widest] * normal, foot + high[widest] * normal]
    return np.array([[hull[one], hull[other]], chord])


def _chain(
    at: NDArray[np.float64], t: NDArray[np.float64], s: NDArray[np.float64], *, upper: bool
) -> NDArray[np.float64]:
    order = np.lexsort((s if upper else -s, t))  # of points above each other the outer one comes last
    t, s = t[order], s[order]
    outer = np.append(np.diff(t) > 1e-9, True)
    interpolated: NDArray[np.float64] = np.interp(at, t[outer], s[outer])
    return interpolated
