"""Runs with a model that was fitted to the object first.

From the slices that a person answered for.

A model is general, the object at hand is one. Where a model can be fitted (`napari_sam2.models.base.FittableModel`), a
run has two passes: the first with the model as it is, to be seen at once; the second, after a fit, with the model that
knows the object. Where the model is sure of its first pass there is no fit, and no second. Nothing blocks: every step
of the fit comes between two results.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from napari_sam2.engine.fit_plan import is_sure, lessons_of, objects_to_fit
from napari_sam2.engine.propagate import propagate
from napari_sam2.models.base import FittableModel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.engine import Anchor, Engine
    from napari_sam2.engine.fit_plan import FitPlan, ObjectFits
    from napari_sam2.engine.verbs import Answered
    from napari_sam2.models.base import ModelFit, SegmentationModel

__all__ = ["learn", "propagate_fitted"]


def propagate_fitted(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    fits: ObjectFits[SegmentationModel],
    plan: FitPlan,
    *,
    slices: range | None = None,
    direction: str = "both",
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SliceResult]:
    """Like `napari_sam2.engine.propagate.propagate`, with models that are fitted on the way.

    Results of the first pass are not ``final``; the last one of them comes again while a fit goes on, and all of them
    come again where there is none.

    Parameters
    ----------
    engine, anchors, slices, direction, should_stop
        As in `propagate`.
    fits : ObjectFits
        Models that were fitted before; new ones are kept there.
    plan : FitPlan
        How new ones are fitted.
    """
    new = objects_to_fit(engine, anchors, fits, slices, direction)
    reached: dict[int, dict[int, SliceResult]] = {object_id: {} for object_id in new}
    last: SliceResult | None = None
    first_anchors = {object_id: anchors[object_id] for object_id in new}
    for result in propagate(engine, first_anchors, slices=slices, direction=direction, should_stop=should_stop):
        if result.final:
            reached[result.object_id][result.index] = result
        last = replace(result, final=False)
        yield last
    if should_stop():
        return
    sure = {object_id for object_id in new if is_sure([*reached[object_id].values()])}
    for _ in _learn(engine, anchors, [object_id for object_id in new if object_id not in sure], fits, plan):
        if should_stop():
            return
        if last is not None:
            yield last
    for object_id in sorted(sure):
        yield from reached[object_id].values()
    rest = {object_id: own_anchors for object_id, own_anchors in anchors.items() if object_id not in sure}
    fitted_models = {
        o: fits.model_for(engine.plane.axis, o, [a.index for a in own_anchors]) for o, own_anchors in rest.items()
    }
    models = {o: model for o, model in fitted_models.items() if model is not None}
    yield from propagate(engine, rest, slices=slices, direction=direction, should_stop=should_stop, models=models)


def _learn(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    new: Sequence[int],
    fits: ObjectFits[SegmentationModel],
    plan: FitPlan,
) -> Iterator[None]:
    """One fit after the other, a step at a time."""
    for object_id in new:
        model = yield from learn(engine, lessons_of(anchors[object_id]), plan)
        fits.keep(engine.plane.axis, object_id, anchors[object_id], model)


def learn(engine: Engine, lessons: Sequence[Answered], plan: FitPlan) -> Generator[None, None, SegmentationModel]:
    """Fit the model to one object, a step at a time.

    The model that knows it is what the generator returns.

    Parameters
    ----------
    engine : Engine
        Its model can be fitted.
    lessons : sequence of Answered
        See `napari_sam2.engine.fit_plan.lessons_of`; only slices and masks count.
    plan : FitPlan
        How.
    """
    fit = _begin(engine, lessons, plan.seed)
    for _ in range(plan.steps):
        fit.step()
        yield
    return fit.model()


def _begin(engine: Engine, lessons: Sequence[Answered], seed: int) -> ModelFit:
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
