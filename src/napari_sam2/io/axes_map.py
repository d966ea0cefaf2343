"""Axis order and flips between an array and its file's voxels.

Readers transpose and flip on their way into a viewer, and few of them say how. A map is *proven* when
exactly one of the 48 possible ones makes the array's voxels equal the file's; anything else is refused,
because a label map saved through a guess may lie on the wrong side of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AxesMap", "find_axes_maps", "prove_axes_map"]

N_SAMPLES: Final = 20_000
"""Voxels compared first; two different maps of a real scan differ in far fewer."""

_TOLERANCE: Final = 1e-5
"""Relative and absolute: a reader may have gone through float32."""


@dataclass(frozen=True, slots=True)
class AxesMap:
    """Which array axis shows which voxel axis, and whether it runs backwards.

    Attributes
    ----------
    axes : tuple of int
        For voxel axes i, j, k: the array axis that shows it.
    flips : tuple of bool
        For voxel axes i, j, k: whether the array runs against the stored order.
    """

    axes: tuple[int, int, int] = (2, 1, 0)
    flips: tuple[bool, bool, bool] = (False, False, False)

    def stored(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array's first three axes as (i, j, k), as a view.

        Further axes stay.
        """
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        return np.moveaxis(array, self.axes, (0, 1, 2))[steps]

    def shown(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """An (i, j, k) array in the array's own order.

        A view; the inverse of `stored`.
        """
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        return np.moveaxis(voxels[steps], (0, 1, 2), self.axes)

    def to_voxel(self, points: ArrayLike, shape: tuple[int, int, int]) -> NDArray[np.float64]:
        """Voxel coordinates (..., 3) of array coordinates (..., 3).

        `shape` is the volume's (I, J, K).
        """
        voxels = np.asarray(points, dtype=np.float64)[..., self.axes]
        last = np.array(shape) - 1
        return np.where(self.flips, last - voxels, voxels)

    def to_array(self, voxels: ArrayLike, shape: tuple[int, int, int]) -> NDArray[np.float64]:
        """Array coordinates (..., 3) of voxel coordinates (..., 3).

        The inverse of `to_voxel`.
        """
        coordinates = np.asarray(voxels, dtype=np.float64)
        last = np.array(shape) - 1
        points = np.empty_like(coordinates)
        points[..., self.axes] = np.where(self.flips, last - coordinates, coordinates)
        return points


def find_axes_maps(array: NDArray[Any], voxels: NDArray[Any]) -> list[AxesMap]:
    """Every map under which an array equals the voxels of a file.

    Parameters
    ----------
    array : (A, B, C) array
        As a viewer shows it.
    voxels : (I, J, K) array
        As the file stores it.

    Returns
    -------
    list of AxesMap
        One entry is a proof. None: the array was edited or resampled. Several: the scan is symmetric.
    """
    rng = np.random.default_rng(0)
    at = tuple(rng.integers(0, n, N_SAMPLES) for n in voxels.shape[:3])
    expected = voxels[at]
    maps = (AxesMap((p[0], p[1], p[2]), (f[0], f[1], f[2])) for p, f in product(_orders(), _flips()))
    return [
        m
        for m in maps
        if m.stored(array).shape == voxels.shape
        and _equal(m.stored(array)[at], expected)
        and _equal_all(m, array, voxels)
    ]


def prove_axes_map(array: NDArray[Any], voxels: NDArray[Any], name: str) -> AxesMap:
    """The one map under which an array equals a file's voxels.

    Raises
    ------
    GeometryError
        If there is none, or more than one: the message says what to do about it.
    """
    maps = find_axes_maps(array, voxels)
    if len(maps) == 1:
        return maps[0]
    if not maps:
        raise GeometryError(
            f"The image on screen does not hold the voxels of {name}: it was edited or resampled. "
            f"Open {name} again, or choose the file it belongs to."
        )
    raise GeometryError(
        f"The voxels of {name} are the same in {len(maps)} orientations, so nothing proves which one is on screen. "
        f"Open {name} with the napari-sam2 reader."
    )


def _orders() -> list[tuple[int, ...]]:
    # (k, j, i) first: it is what nearly every reader does.
    return sorted(permutations(range(3)), key=lambda order: order != (2, 1, 0))


def _flips() -> list[tuple[bool, ...]]:
    return list(product((False, True), repeat=3))


def _equal(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return bool(
        np.allclose(
            first.astype(np.float64), second.astype(np.float64), rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
        )
    )


def _equal_all(axes_map: AxesMap, array: NDArray[Any], voxels: NDArray[Any]) -> bool:
    """Compare every voxel, slice by slice, so that an edited copy is noticed without a second copy in memory."""
    stored = axes_map.stored(array)
    return all(_equal(stored[..., k], voxels[..., k]) for k in range(voxels.shape[2])) if voxels.ndim == 3 else True
