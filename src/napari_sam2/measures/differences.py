"""Connected places where two label maps of one scan differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "EQUAL",
    "ONLY_FIRST",
    "ONLY_SECOND",
    "OTHERWISE",
    "Difference",
    "difference_map",
    "differences",
    "on_ids_of",
]

EQUAL: Final = 0
ONLY_FIRST: Final = 1
ONLY_SECOND: Final = 2
OTHERWISE: Final = 3
"""Values of a difference map: both say the same, one alone has an object, both have one and not the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A connected place where two label maps say different things.

    Attributes
    ----------
    first, second : int
        Ids that the two maps have there; 0 is none.
    n_voxels : int
        Its size.
    depth_mm : float
        How far its deepest voxel lies from what is outside of it.
    voxel : (i, j, k)
        That voxel.
    """

    first: int
    second: int
    n_voxels: int
    depth_mm: float
    voxel: tuple[int, int, int]


def difference_map(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Which of two label maps has what, voxel by voxel.

    Both are (I, J, K).

    Returns
    -------
    (I, J, K) array of uint8
        `EQUAL`, `ONLY_FIRST`, `ONLY_SECOND` or `OTHERWISE`.
    """
    shown = np.zeros(first.shape, np.uint8)
    differs = first != second
    shown[differs & (second == 0)] = ONLY_FIRST
    shown[differs & (first == 0)] = ONLY_SECOND
    shown[differs & (first != 0) & (second != 0)] = OTHERWISE
    return shown


def differences(
    first: NDArray[np.integer], second: NDArray[np.integer], spacing: Sequence[float], least: int = 1
) -> list[Difference]:
    """Every connected place where two label maps (I, J, K) differ.

    Parameters
    ----------
    first, second : (I, J, K) array of int
        On one grid.
    spacing : sequence of float
        Voxel sizes along i, j, k in mm.
    least : int
        Voxels that a place must have to be told.

    Returns
    -------
    list of Difference
        The deepest first: a rim of one voxel around a large object comes after a missed part. Faces connect; a place
        has one pair of ids.
    """
    from scipy import ndimage

    differs = first != second
    boxes = ndimage.find_objects(differs.astype(np.uint8))
    if not boxes:
        return []
    box, places = boxes[0], []
    start = np.array([s.start for s in box])
    first, second, differs = first[box], second[box], differs[box]
    pairs = np.unique(np.stack([first[differs], second[differs]]), axis=1).T.tolist()
    for one, two in pairs:
        pieces, count = ndimage.label((first == one) & (second == two) & differs)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        for number, piece in enumerate(ndimage.find_objects(pieces), start=1):
            if sizes[number] < least:
                continue
            depth = ndimage.distance_transform_edt(np.pad(pieces[piece] == number, 1), sampling=spacing)
            deepest = np.unravel_index(int(depth.argmax()), depth.shape)
            i, j, k = (np.array(deepest) - 1 + start + [s.start for s in piece]).tolist()
            places.append(Difference(int(one), int(two), int(sizes[number]), float(depth.max()), (i, j, k)))
    return sorted(places, key=lambda place: (-place.depth_mm, -place.n_voxels))


def on_ids_of(labels: NDArray[np.integer], names: Mapping[int, str], wanted: Mapping[int, str]) -> NDArray[np.integer]:
    """A label map with the ids that another gives to its names.

    Nothing changes when no name of `names` is one of `wanted` under another id. Names count, whatever their case; an
    id whose name is not in `wanted` keeps it, or gets a free one where it would be taken for another object.
    """
    ids = [i for i in np.unique(labels).tolist() if i]
    by_name = {_plain(name): i for i, name in wanted.items() if name}
    moved = {i: by_name.get(_plain(names.get(i, "")), i) for i in ids}
    named = {i for i in ids if _plain(names.get(i, "")) in by_name}
    taken, free = {moved[i] for i in named}, max([*ids, *wanted, 0])
    for i in ids:
        if i not in named and i in taken:
            free += 1
            moved[i] = free
    if all(old == new for old, new in moved.items()):
        return labels
    laid = np.zeros(labels.shape, np.min_scalar_type(max(moved.values())))
    for old, new in moved.items():
        laid[labels == old] = new
    return laid


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())
