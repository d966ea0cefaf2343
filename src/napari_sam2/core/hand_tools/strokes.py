"""Strokes of a hand on a slice.

A brush that keeps to a range of intensities, scribbles and lassos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from skimage.draw import polygon2mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["brushed", "lassoed", "scribbled"]

SCRIBBLE_CLICKS: Final = 5
"""Clicks that stand for a scribble, evenly spaced; more do not change what a model answers."""


def brushed(
    image: NDArray[np.floating],
    path: NDArray[np.float64],
    radius: float,
    spacing: Sequence[float],
    intensities: tuple[float, float] = (-np.inf, np.inf),
) -> NDArray[np.bool_]:
    """Pixels that a round brush touches along a path.

    Only those whose intensity lies in a range.

    Parameters
    ----------
    image : (rows, columns) array
        Intensities.
    path : (N, 2) float array
        (row, column) of the stroke; straight between its points.
    radius : float
        Of the brush, in millimetres.
    spacing : sequence of float
        Millimetres between rows and between columns.
    intensities : tuple of float
        Least and greatest intensity that is painted; both belong to the range.

    Returns
    -------
    (rows, columns) bool array
    """
    step = np.asarray(spacing, dtype=np.float64)
    stroke = np.asarray(path, dtype=np.float64).reshape(-1, 2) * step
    reach = np.zeros(image.shape, dtype=bool)
    first = np.maximum(np.floor((stroke.min(axis=0) - radius) / step).astype(int), 0)
    last = np.minimum(np.ceil((stroke.max(axis=0) + radius) / step).astype(int) + 1, image.shape)
    if (last <= first).any():
        return reach
    rows, cols = np.mgrid[first[0] : last[0], first[1] : last[1]]
    at = np.stack([rows, cols], axis=-1) * step
    nearest = np.full(rows.shape, np.inf)
    for begin, end in zip(stroke, stroke[1:] if len(stroke) > 1 else stroke, strict=False):
        nearest = np.minimum(nearest, _distance(at, begin, end))
    low, high = intensities
    values = image[first[0] : last[0], first[1] : last[1]]
    touched = (nearest <= radius) & (values >= low) & (values <= high)
    reach[first[0] : last[0], first[1] : last[1]] = touched
    return reach


def lassoed(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside a closed outline.

    Parameters
    ----------
    corners : (N, 2) float array
        (row, column) of the outline.
    shape : tuple of int
        Rows and columns of the slice.
    """
    return np.asarray(polygon2mask(shape, corners), dtype=bool)


def scribbled(path: NDArray[np.float64], count: int = SCRIBBLE_CLICKS) -> NDArray[np.float64]:
    """Points evenly spaced along a path, without its ends.

    A stroke begins and ends where the hand was least sure.

    Parameters
    ----------
    path : (N, D) float array
        Corners of the stroke.
    count : int
        Points that are wanted.

    Returns
    -------
    (count, D) float array; (0, D) of a stroke without length.
    """
    corners = np.asarray(path, dtype=np.float64)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    if length[-1] == 0:
        return np.zeros((0, corners.shape[1]))
    places = np.linspace(0, length[-1], count + 2)[1:-1]
    return np.stack([np.interp(places, length, along) for along in corners.T], axis=1)


def _distance(at: NDArray[np.float64], begin: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of places (..., 2) from the straight line between two."""
    along = end - begin
    length = float(along @ along)
    share = np.clip(((at - begin) @ along) / length, 0, 1) if length else np.zeros(at.shape[:-1])
    nearest: NDArray[np.float64] = np.linalg.norm(at - begin - share[..., None] * along, axis=-1)
    return nearest
