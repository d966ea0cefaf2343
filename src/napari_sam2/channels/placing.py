"""Where one scan lies in another: same grid, other grid, or nowhere.

A reference says where labels go. A further channel is laid on its grid through world coordinates (RAS+ mm); what has
no place there is refused, with how far off it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from napari_sam2.errors import GeometryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = [
    "IDENTITY",
    "covered_share",
    "is_same_grid",
    "moved_mm",
    "on_grid_of",
    "refuse_without_place",
    "said_move",
]

IDENTITY: Final = np.eye(4)

SAME_GRID: Final = 0.01
"""Corners of two grids that lie within this part of a voxel of each other are the same: headers round."""

LEAST_COVERED: Final = 0.1
"""Of the smaller scan, the part that must lie inside the other one for both to show one body."""

LATTICE: Final = 24
"""Places along each axis at which overlap is looked up."""


def is_same_grid(reference: Volume, other: Volume, transform: NDArray[np.float64] = IDENTITY) -> bool:
    """Whether voxel (i, j, k) of both lies at one place.

    Parameters
    ----------
    reference, other : Volume
        Two scans.
    transform : (4, 4) array
        From world places of the reference to those of the other, RAS+ mm.
    """
    if reference.shape != other.shape:
        return False
    return _largest_shift(reference, transform @ reference.affine, other.affine) < SAME_GRID


def _largest_shift(reference: Volume, one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Largest distance of the grid's corners under two affines, in voxels of the finest spacing."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in reference.shape], indexing="ij")).reshape(3, -1)
    places = [matrix[:3, :3] @ corners + matrix[:3, 3:] for matrix in (one, two)]
    return float(np.linalg.norm(places[0] - places[1], axis=0).max() / min(reference.spacing))


def covered_share(reference: Volume, other: Volume, transform: NDArray[np.float64] = IDENTITY) -> float:
    """The part of the smaller scan that lies inside the other."""
    back = np.linalg.inv(transform).astype(np.float64)
    return max(_inside_share(reference, other, transform), _inside_share(other, reference, back))


def _inside_share(one: Volume, two: Volume, transform: NDArray[np.float64]) -> float:
    matrix = np.linalg.inv(two.affine) @ transform @ one.affine
    steps = [np.linspace(0, n - 1, LATTICE) for n in one.shape]
    lattice = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    voxels = lattice @ matrix[:3, :3].T + matrix[:3, 3]
    return float(((voxels >= -0.5) & (voxels <= np.array(two.shape) - 0.5)).all(axis=-1).mean())


def refuse_without_place(reference: Volume, other: Volume, name: str) -> None:
    """Refuse a channel that the headers put nowhere on the reference.

    Parameters
    ----------
    reference, other : Volume
        The scan with the labels, and the channel.
    name : str
        What the channel is called.

    Raises
    ------
    GeometryError
        With the distance between both, where it is known.
    """
    if is_same_grid(reference, other):
        return
    if not (reference.oriented and other.oriented):
        where = reference.source.public_name if not reference.oriented else name
        raise GeometryError(
            f"{name}: its grid is {_size(other)}, that of {reference.source.public_name} {_size(reference)}, and "
            f"{where} does not say where it lies; give a scan on the same grid, or --register rigid."
        )
    share = covered_share(reference, other)
    if share < LEAST_COVERED:
        away = np.linalg.norm(_centre(reference) - _centre(other))
        overlap = "they do not overlap" if share == 0 else f"only {share:.0%} of it lies inside"
        raise GeometryError(
            f"{name}: its centre lies {away:.0f} mm from that of {reference.source.public_name}, and {overlap}; "
            "give a scan of the same place, or --register rigid."
        )


def on_grid_of(reference: Volume, other: Volume, transform: NDArray[np.float64]) -> NDArray[Any]:
    """A scan's intensities on the grid of another.

    Parameters
    ----------
    reference, other : Volume
        Where to, and what.
    transform : (4, 4) array
        From world places of the reference to those of the other, RAS+ mm.

    Returns
    -------
    (I, J, K) array
        As stored where both grids are one; else float32, linear between voxels, and NaN outside of the other scan.
        Linear, since higher orders ring at metal and cut peaks of uptake.
    """
    if is_same_grid(reference, other, transform):
        return other.voxels
    matrix = np.linalg.inv(other.affine) @ transform @ reference.affine
    values = other.voxels.astype(np.float32, copy=False)
    laid: NDArray[np.float32] = ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], reference.shape, np.float32, order=1, mode="nearest"
    )
    laid[~_inside(reference.shape, other.shape, matrix)] = np.nan
    return laid


def _inside(shape: tuple[int, int, int], other: tuple[int, int, int], matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which voxels of a grid lie within half a voxel of another one."""
    inside = np.ones(shape, dtype=bool)
    i, j, k = (np.arange(n, dtype=np.float64) for n in shape)
    for row, n in zip(matrix[:3], other, strict=True):
        at = (row[0] * i + row[3])[:, None, None] + (row[1] * j)[None, :, None] + (row[2] * k)[None, None, :]
        # Rounding of the header's numbers must not cut off the last slice.
        inside &= (at >= -0.5 - SAME_GRID) & (at <= n - 0.5 + SAME_GRID)
    return inside


def said_move(reference: Volume, transform: NDArray[np.float64]) -> str:
    """How a transform moves and turns the middle of a scan.

    Such as ``"18.9 mm and 3.1 degrees"``.
    """
    return f"{moved_mm(reference, transform):.1f} mm and {_turn(transform):.1f} degrees"


def moved_mm(reference: Volume, transform: NDArray[np.float64]) -> float:
    """How far a transform moves the middle of a scan."""
    centre = _centre(reference)
    return float(np.linalg.norm(transform[:3, :3] @ centre + transform[:3, 3] - centre))


def _turn(transform: NDArray[np.float64]) -> float:
    cosine = (np.trace(transform[:3, :3]) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _centre(volume: Volume) -> NDArray[np.float64]:
    centre: NDArray[np.float64] = volume.voxel_to_world((np.array(volume.shape) - 1) / 2)
    return centre


def _size(volume: Volume) -> str:
    return " x ".join(map(str, volume.shape))
