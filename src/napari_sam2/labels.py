"""The label map: one integer per voxel, composed from the masks of all objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.results import SliceMask
    from napari_sam2.volume import Volume

__all__ = ["OVERLAP_RULES", "ObjectMasks", "compose", "consecutive_ids", "label_dtype"]

OVERLAP_RULES: Final = ("first", "last")
"""Who keeps a voxel that several objects claim: the object created first, or the one created last."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMasks:
    """All masks of one object.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    axis : int
        Slice axis of the masks.
    masks : mapping of int to SliceMask
        By slice index, in the layout of ``volume.plane(axis)``.
    """

    object_id: int
    axis: int
    masks: Mapping[int, SliceMask]


def label_dtype(largest_id: int) -> type[np.uint8] | type[np.uint16] | type[np.int32]:
    """The smallest integer type that every reader of label maps knows and that holds `largest_id`."""
    if largest_id < 2**8:
        return np.uint8
    return np.uint16 if largest_id < 2**16 else np.int32


def compose(volume: Volume, objects: Sequence[ObjectMasks], overlap: str = "first") -> NDArray[np.integer]:
    """Paint objects into a label map.

    Parameters
    ----------
    volume : Volume
        Gives the grid.
    objects : sequence of ObjectMasks
        In the order of their creation.
    overlap : str
        One of `OVERLAP_RULES`.

    Returns
    -------
    (I, J, K) array
        0 is background; dtype by `label_dtype`.
    """
    if overlap not in OVERLAP_RULES:
        raise UserInputError(f"There is no overlap rule {overlap!r}; choose one of {', '.join(OVERLAP_RULES)}.")
    largest = max((obj.object_id for obj in objects), default=0)
    labels: NDArray[np.integer] = np.zeros(volume.shape, dtype=label_dtype(largest))
    # Painting over is one assignment, so the object that keeps its voxels is painted last.
    for obj in objects if overlap == "last" else reversed(objects):
        plane = volume.plane(obj.axis)
        for index, mask in obj.masks.items():
            height, width = mask.crop.shape
            window = plane.take(labels, index)[mask.row : mask.row + height, mask.col : mask.col + width]
            window[mask.crop] = obj.object_id
    return labels


def consecutive_ids(labels: NDArray[np.integer]) -> tuple[NDArray[np.integer], dict[int, int]]:
    """Number the ids of a label map from 1 without gaps, as nnU-Net demands.

    Returns
    -------
    labels : (I, J, K) array
        dtype by `label_dtype`.
    mapping : dict of int to int
        Old id -> new id, by rising old id; keep it, for it cannot be found again.
    """
    ids = np.unique(labels)
    ids = ids[ids != 0]
    numbered: NDArray[np.integer]
    mapping = {int(old): new for new, old in enumerate(ids, start=1)}
    numbered = (np.searchsorted(ids, labels) + 1).astype(label_dtype(len(mapping)))
    numbered[labels == 0] = 0
    return numbered, mapping
