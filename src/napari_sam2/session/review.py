"""Review: how doubtful a slice is.

And in which order a person should look.

Doubt is a number from 0 (nothing to see) to 1 (look here first). It joins what the model says of itself
with what neighbouring slices say of each other; weights and their evidence are in docs/review.md.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam2.core.slice_masks import iou

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam2.session.snapshot import ObjectSnapshot

__all__ = ["DoubtfulSlice", "doubts_of", "features_of", "review_queue"]

WEIGHTS: Final = {"predicted": 0.5, "neighbours": 0.1, "direction": 0.2, "distance": 0.2, "presence": 0.2}
"""What each kind of doubt counts; see `features_of`."""


@dataclass(frozen=True, slots=True)
class DoubtfulSlice:
    """A slice to look at.

    Attributes
    ----------
    object_id, axis, index : int
        Where.
    doubt : float
        0 to 1.
    """

    object_id: int
    axis: int
    index: int
    doubt: float


def features_of(obj: ObjectSnapshot) -> dict[int, dict[str, float]]:
    """Every kind of doubt about every slice of an object.

    0 to 1 each; NaN where it does not apply.

    ``predicted``: one minus the model's own estimate of the mask's IoU. ``neighbours``: one minus the IoU
    with the next slice, on the side where they agree less. ``direction``: one minus the IoU of both passes
    between two prompted slices. ``distance``: slices to the nearest prompted or accepted one, over the
    object's extent. ``presence``: how near the model is to saying that the object is not there.
    """
    slices = obj.slices
    fixed = sorted({i for i, other in slices.items() if other.prompted} | obj.accepted)
    full = [i for i, other in slices.items() if other.mask.n_voxels]
    extent = max(full) - min(full) + 1 if full else 1
    agreement = {i: iou(r.mask, slices[i + 1].mask) for i, r in slices.items() if i + 1 in slices}
    doubts = {}
    for index, result in slices.items():
        near = [agreement[i] for i in (index - 1, index) if i in agreement]
        doubts[index] = {
            "predicted": 1 - result.scores.predicted_iou,
            "neighbours": 1 - min(near) if near else math.nan,
            "direction": 1 - result.scores.direction_iou,
            "distance": min(1.0, _distance(index, fixed, extent) / extent),
            "presence": 2 / (1 + math.exp(min(abs(result.scores.object_score), 30.0))),
        }
    return doubts


def doubts_of(obj: ObjectSnapshot) -> dict[int, float]:
    """How doubtful each slice of an object is.

    0 where a person prompted or accepted it.
    """
    return {
        index: 0.0 if index in obj.accepted or obj.slices[index].prompted else _weighted(features)
        for index, features in features_of(obj).items()
    }


def review_queue(objects: Iterable[ObjectSnapshot]) -> list[DoubtfulSlice]:
    """Slices to look at, the most doubtful first.

    All that a person has neither prompted nor accepted. The empty ones at an object's ends come last: there is nothing
    on them to be looked at, but that the object goes on.
    """
    listed = list(objects)
    entries = [
        DoubtfulSlice(obj.object_id, obj.axis, index, doubt)
        for obj in listed
        if not obj.finished
        for index, doubt in doubts_of(obj).items()
        if not obj.slices[index].prompted and index not in obj.accepted and _is_near(obj, index)
    ]
    by_id = {obj.object_id: obj for obj in listed}
    return sorted(entries, key=lambda e: (_has_ended(by_id[e.object_id], e.index), -e.doubt, e.object_id, e.index))


def _weighted(features: dict[str, float]) -> float:
    values = {name: value for name, value in features.items() if not math.isnan(value)}
    weight = sum(WEIGHTS[name] for name in values)
    return sum(WEIGHTS[name] * value for name, value in values.items()) / weight if weight else 0.0


def _distance(index: int, fixed: list[int], extent: int) -> int:
    """Slices to the nearest of a sorted list."""
    at = bisect_left(fixed, index)
    return min((abs(index - i) for i in fixed[max(0, at - 1) : at + 1]), default=extent)


def _is_near(obj: ObjectSnapshot, index: int) -> bool:
    """Whether the object is on the slice or on one next to it; further out there is nothing to check."""
    return any(i in obj.slices and obj.slices[i].mask.n_voxels for i in (index - 1, index, index + 1))


def _has_ended(obj: ObjectSnapshot, index: int) -> bool:
    """Whether a slice is empty, and so is all on one side of it."""
    if obj.slices[index].mask.n_voxels:
        return False
    filled = [i for i, result in obj.slices.items() if result.mask.n_voxels]
    return not filled or not min(filled) < index < max(filled)
