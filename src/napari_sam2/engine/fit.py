"""Runs with a model that was fitted to the object first, from the slices that a person answered for.

A model is general, the object at hand is one. Where a model can be fitted (`napari_sam2.models.base.FittableModel`), a
run has two passes: the first with the model as it is, to be seen at once, while a fit goes on between its slices; the
second with the model that knows the object. Nothing blocks: every step of the fit comes between two results.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from napari_sam2.engine.propagate import count_slices, propagate
from napari_sam2.models.base import FittableModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.engine import Anchor, Engine
    from napari_sam2.models.base import ModelFit, SegmentationModel

__all__ = ["FIT", "FitPlan", "ObjectFits", "count_fitted_slices", "propagate_fitted"]


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How a model is fitted: the same plan and masks give the same model, which is what replay relies on.

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

NEAR: Final = 4
"""A run that visits no more slices than this around its anchors is over before a fit has learned anything."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    model: SegmentationModel
    key: tuple[str, ...]
    slices: frozenset[int]


class ObjectFits:
    """The models that know one object each, for as long as what they learned from stays."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], _Kept] = {}

    def clear(self) -> None:
        """Forget all, because model or window have changed."""
        self._kept.clear()

    def model_for(self, axis: int, object_id: int, fixed: Iterable[int]) -> SegmentationModel | None:
        """The model that knows an object, if the slices that taught it are among those still `fixed` by a person."""
        kept = self._kept.get((axis, object_id))
        return None if kept is None or not kept.slices <= set(fixed) else kept.model

    def is_current(self, engine: Engine, object_id: int, anchors: Sequence[Anchor]) -> bool:
        """Whether there is a model that was taught by just these masks."""
        kept = self._kept.get((engine.plane.axis, object_id))
        return kept is not None and kept.key == _key(_lessons(anchors))

    def keep(self, engine: Engine, object_id: int, anchors: Sequence[Anchor], model: SegmentationModel) -> None:
        """Take in a fitted model."""
        lessons = _lessons(anchors)
        slices = frozenset(anchor.index for anchor in lessons)
        self._kept[engine.plane.axis, object_id] = _Kept(model, _key(lessons), slices)


def propagate_fitted(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    fits: ObjectFits,
    plan: FitPlan,
    *,
    slices: range | None = None,
    direction: str = "both",
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SliceResult]:
    """Like `napari_sam2.engine.propagate.propagate`, with models that are fitted on the way.

    Results of the first pass are not ``final``; the last one of them comes again while a fit needs more time.

    Parameters
    ----------
    engine, anchors, slices, direction, should_stop
        As in `propagate`.
    fits : ObjectFits
        Models that were fitted before; new ones are kept there.
    plan : FitPlan
        How new ones are fitted.
    """
    new = _to_fit(engine, anchors, fits, slices, direction)
    if new:
        learning = _learn(engine, anchors, new, fits, plan)
        yield from _first_pass(engine, anchors, new, learning, slices, direction, should_stop)
        if should_stop():
            return
    known = {o: fits.model_for(engine.plane.axis, o, [a.index for a in found]) for o, found in anchors.items()}
    models = {o: model for o, model in known.items() if model is not None}
    yield from propagate(engine, anchors, slices=slices, direction=direction, should_stop=should_stop, models=models)


def count_fitted_slices(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    fits: ObjectFits,
    plan: FitPlan,
    slices: range | None = None,
    direction: str = "both",
) -> int:
    """How many results `propagate_fitted` gives at most; for progress."""
    once = count_slices(anchors, engine.plane.n_slices, slices, direction)
    new = _to_fit(engine, anchors, fits, slices, direction)
    return once + max(once, plan.steps * len(new)) if new else once


def _to_fit(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    fits: ObjectFits,
    slices: range | None,
    direction: str,
) -> list[int]:
    """Objects whose model is still to be fitted, and for whom it is worth it."""
    if not isinstance(engine.model, FittableModel):
        return []
    return [
        object_id
        for object_id, found in sorted(anchors.items())
        if _lessons(found)
        and not fits.is_current(engine, object_id, found)
        and count_slices({object_id: found}, engine.plane.n_slices, slices, direction) > NEAR
    ]


def _first_pass(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    new: Sequence[int],
    learning: Iterator[None],
    slices: range | None,
    direction: str,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    last: SliceResult | None = None
    shown = {object_id: anchors[object_id] for object_id in new}
    for result in propagate(engine, shown, slices=slices, direction=direction, should_stop=should_stop):
        last = replace(result, final=False)
        yield last
        next(learning, None)
    for _ in learning:
        if should_stop():
            return
        if last is not None:
            yield last


def _learn(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    new: Sequence[int],
    fits: ObjectFits,
    plan: FitPlan,
) -> Iterator[None]:
    """One fit after the other, a step at a time."""
    for object_id in new:
        fit = _begin(engine, _lessons(anchors[object_id]), plan.seed)
        for _ in range(plan.steps):
            fit.step()
            yield
        fits.keep(engine, object_id, anchors[object_id], fit.model())


def _begin(engine: Engine, lessons: Sequence[Anchor], seed: int) -> ModelFit:
    """A fit from masks alone, so that an anchor made again from its mask teaches the same."""
    model = engine.model
    if not isinstance(model, FittableModel):
        raise TypeError(f"{model.card.name} cannot be fitted")
    taught = []
    for anchor in lessons:
        view = engine.view_around(anchor.mask.bounds, model.view_policy.factor)
        mask = view.image(anchor.mask.full(engine.plane.shape))[0]
        taught.append((engine.features.get([(anchor.index, view)])[0], (mask > 0.5).to(torch.float32)))
    return model.fit(taught, seed)


def _lessons(anchors: Sequence[Anchor]) -> list[Anchor]:
    filled = [anchor for anchor in anchors if anchor.mask.n_voxels]
    return sorted(filled, key=lambda anchor: (-anchor.mask.n_voxels, anchor.index))[:MOST_LESSONS]


def _key(lessons: Sequence[Anchor]) -> tuple[str, ...]:
    """What was taught: slices and masks."""
    return tuple(
        hashlib.sha256(
            repr((a.index, a.mask.row, a.mask.col, a.mask.crop.shape)).encode() + a.mask.crop.tobytes()
        ).hexdigest()
        for a in lessons
    )
