"""Fits of a model to one object.

The plan, what is known of each object, and when a new one is worth it.

Nothing here needs a network: what a fit leaves behind is a model where the engine runs, and how to make it again where
the engine is on another machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from napari_sam2.engine.sweeps import count_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.verbs import Answered, SliceEngine

__all__ = ["FIT", "FitPlan", "ObjectFits", "count_fitted_slices", "fit_name", "is_sure", "lessons_of", "objects_to_fit"]

AnsweredT = TypeVar("AnsweredT", bound="Answered")
KeptT = TypeVar("KeptT")


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How a model is fitted.

    The same plan and masks give the same model, which is what replay relies on.

    Attributes
    ----------
    steps : int
        How long; 30 take about 4 s on one core of a server processor for the bundled model.
    seed : int
        Of all that is drawn.
    """

    steps: int = 30
    seed: int = 0


FIT: Final = FitPlan()
"""What sessions do unless they are told otherwise."""

MOST_LESSONS: Final = 8
"""Slices that teach, the largest sections first."""

SURE: Final = 0.55
"""Mean predicted IoU of a first pass that is left as it is.

On 26 of the 41 development structures. The mean Dice is then 0.701, where fitting all gives 0.696 and none 0.655.
"""

NEAR: Final = 4
"""A run that visits no more slices than this around its anchors is over before a fit has learned anything."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept(Generic[KeptT]):
    model: KeptT
    key: tuple[str, ...]
    slices: frozenset[int]


class ObjectFits(Generic[KeptT]):
    """The models that know one object each.

    For as long as what they learned from stays.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], _Kept[KeptT]] = {}

    def clear(self) -> None:
        """Forget all, because model or window have changed."""
        self._kept.clear()

    def forget(self, object_id: int) -> None:
        """Forget what knows one object, because it is seen otherwise now."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[1] != object_id}

    def model_for(self, axis: int, object_id: int, fixed: Iterable[int]) -> KeptT | None:
        """The model that knows an object.

        If the slices that taught it are among those still `fixed` by a person.
        """
        kept = self._kept.get((axis, object_id))
        return None if kept is None or not kept.slices <= set(fixed) else kept.model

    def known(self, axis: int, object_id: int) -> KeptT | None:
        """The model that knew an object, whether or not it still holds."""
        kept = self._kept.get((axis, object_id))
        return None if kept is None else kept.model

    def is_current(self, axis: int, object_id: int, anchors: Sequence[Answered]) -> bool:
        """Whether there is a model that was taught by just these masks."""
        kept = self._kept.get((axis, object_id))
        return kept is not None and kept.key == _key(lessons_of(anchors))

    def keep(self, axis: int, object_id: int, anchors: Sequence[Answered], model: KeptT) -> None:
        """Take in a fitted model."""
        lessons = lessons_of(anchors)
        slices = frozenset(anchor.index for anchor in lessons)
        self._kept[axis, object_id] = _Kept(model, _key(lessons), slices)


def count_fitted_slices(
    engine: SliceEngine[AnsweredT, KeptT],
    anchors: Mapping[int, Sequence[AnsweredT]],
    fits: ObjectFits[KeptT],
    plan: FitPlan,
    slices: range | None = None,
    direction: str = "both",
) -> int:
    """How many results a run with fits gives at most; for progress."""
    once = count_slices(anchors, engine.plane.n_slices, slices, direction)
    new = objects_to_fit(engine, anchors, fits, slices, direction)
    return once + max(once, plan.steps * len(new)) if new else once


def objects_to_fit(
    engine: SliceEngine[AnsweredT, KeptT],
    anchors: Mapping[int, Sequence[AnsweredT]],
    fits: ObjectFits[KeptT],
    slices: range | None,
    direction: str,
) -> list[int]:
    """Objects whose model is still to be fitted.

    And for whom it is worth it.
    """
    if not engine.can_fit:
        return []
    return [
        object_id
        for object_id, own_anchors in sorted(anchors.items())
        if lessons_of(own_anchors)
        and not fits.is_current(engine.plane.axis, object_id, own_anchors)
        and count_slices({object_id: own_anchors}, engine.plane.n_slices, slices, direction) > NEAR
    ]


def lessons_of(anchors: Sequence[AnsweredT]) -> list[AnsweredT]:
    """The anchors that teach: those with a mask, the largest sections first."""
    filled = [anchor for anchor in anchors if anchor.mask.n_voxels]
    return sorted(filled, key=lambda anchor: (-anchor.mask.n_voxels, anchor.index))[:MOST_LESSONS]


def is_sure(results: Sequence[SliceResult]) -> bool:
    """Whether a first pass may stand.

    By the model's own judgement of the slices that it filled.
    """
    trust = [result.scores.predicted_iou for result in results if result.mask.n_voxels]
    return bool(trust) and sum(trust) / len(trust) >= SURE


def fit_name(lessons: Sequence[Answered], plan: FitPlan) -> str:
    """A name for the model that these lessons make.

    It is the same for the same slices, masks and plan.
    """
    return hashlib.sha256(repr((plan.steps, plan.seed, _key(lessons))).encode()).hexdigest()


def _key(lessons: Sequence[Answered]) -> tuple[str, ...]:
    """What was taught: slices and masks."""
    return tuple(
        hashlib.sha256(
            repr((a.index, a.mask.row, a.mask.col, a.mask.shape)).encode() + a.mask.crop.tobytes()
        ).hexdigest()
        for a in lessons
    )
