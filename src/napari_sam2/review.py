"""Review: how doubtful a slice is, and in which order a person should look.

Doubt is a number from 0 (nothing to see) to 1 (look here first). It joins what the model says of itself
with what neighbouring slices say of each other; weights and their evidence are in docs/review.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam2.results import iou

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam2.snapshot import ObjectSnapshot

__all__ = ["DoubtfulSlice", "doubt_of", "features_of", "review_queue"]

WEIGHTS: Final = {"predicted": 0.2, "neighbours": 0.3, "direction": 0.2, "distance": 0.3, "presence": 0.0}
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


def features_of(obj: ObjectSnapshot, index: int) -> dict[str, float]:
    """Every kind of doubt about a slice, 0 to 1 each; NaN where it does not apply.

    ``predicted``: one minus the model's own estimate of the mask's IoU. ``neighbours``: one minus the IoU
    with the next slice, on the side where they agree less. ``direction``: one minus the IoU of both passes
    between two prompted slices. ``distance``: slices to the nearest prompted or accepted one, over the
    object's extent. ``presence``: how near the model is to saying that the object is not there.
    """
    result = obj.slices[index]
    near = [obj.slices[i] for i in (index - 1, index + 1) if i in obj.slices]
    agreement = [iou(result.mask, other.mask) for other in near]
    fixed = [i for i, other in obj.slices.items() if other.prompted] + list(obj.locked)
    full = [i for i, other in obj.slices.items() if other.mask.n_voxels]
    extent = max(full) - min(full) + 1 if full else 1
    away = min((abs(index - i) for i in fixed), default=extent)
    return {
        "predicted": 1 - result.scores.predicted_iou,
        "neighbours": 1 - min(agreement) if agreement else math.nan,
        "direction": 1 - result.scores.direction_iou,
        "distance": min(1.0, away / extent),
        "presence": 1 / (1 + math.exp(min(abs(result.scores.object_score), 30.0))) * 2,
    }


def doubt_of(obj: ObjectSnapshot, index: int) -> float:
    """How doubtful a slice is; 0 when a person prompted or accepted it."""
    if index in obj.locked or obj.slices[index].prompted:
        return 0.0
    known = {name: value for name, value in features_of(obj, index).items() if not math.isnan(value)}
    weight = sum(WEIGHTS[name] for name in known)
    return sum(WEIGHTS[name] * value for name, value in known.items()) / weight if weight else 0.0


def review_queue(objects: Iterable[ObjectSnapshot]) -> list[DoubtfulSlice]:
    """All slices that a person has neither prompted nor accepted, the most doubtful first."""
    found = [
        DoubtfulSlice(obj.object_id, obj.axis, index, doubt_of(obj, index))
        for obj in objects
        if not obj.protected
        for index, result in obj.slices.items()
        if not result.prompted and index not in obj.locked and _is_near(obj, index)
    ]
    return sorted(found, key=lambda entry: (-entry.doubt, entry.object_id, entry.index))


def _is_near(obj: ObjectSnapshot, index: int) -> bool:
    """Whether the object is on the slice or on one next to it; further out there is nothing to check."""
    return any(i in obj.slices and obj.slices[i].mask.n_voxels for i in (index - 1, index, index + 1))
