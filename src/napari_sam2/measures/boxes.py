"""Boxes around the objects of a label map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Box", "common_box", "label_boxes"]

Box = tuple[slice, slice, slice]


def label_boxes(labels: NDArray[Any]) -> dict[int, Box]:
    """The box around each id of a label map (I, J, K).

    Plane by plane: ids may be large, and the label map is never copied.
    """
    low: dict[int, NDArray[np.intp]] = {}
    high: dict[int, NDArray[np.intp]] = {}
    for k in range(labels.shape[2]):
        plane = labels[:, :, k]
        if not plane.any():
            continue
        ids, dense = np.unique(plane, return_inverse=True)
        for label_id, box in zip(ids.tolist(), ndimage.find_objects(dense.reshape(plane.shape) + 1), strict=True):
            if label_id == 0:
                continue
            first = np.array([box[0].start, box[1].start, k])
            last = np.array([box[0].stop, box[1].stop, k + 1])
            low[label_id] = np.minimum(low.get(label_id, first), first)
            high[label_id] = np.maximum(high.get(label_id, last), last)
    return {
        label_id: (slice(*pair[0]), slice(*pair[1]), slice(*pair[2]))
        for label_id in low
        for pair in (np.stack([low[label_id], high[label_id]], axis=1).tolist(),)
    }


def common_box(*boxes: Box | None) -> Box:
    """The box around several; None counts for nothing.

    Raises
    ------
    ValueError
        If there is none.
    """
    there = [box for box in boxes if box is not None]
    if not there:
        raise ValueError("No box is given.")
    i, j, k = (slice(min(s.start for s in along), max(s.stop for s in along)) for along in zip(*there, strict=True))
    return i, j, k
