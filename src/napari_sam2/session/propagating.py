"""Runs of a session through many slices.

Propagation, and the spreading of a correction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.slice_masks import SliceMask, SliceResult, iou
from napari_sam2.engine.sweeps import GONE
from napari_sam2.errors import PromptError
from napari_sam2.session.boxed import bounded, propagate_boxed
from napari_sam2.session.object_scene import helper_boxes
from napari_sam2.session.prompting import anchors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.engine.fit_plan import FitPlan
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["checked_objects", "propagate_objects", "spread_correction"]

UNCHANGED_IOU: Final = 0.98
"""A mask that overlaps its earlier self this much has not been changed by a correction further away."""

SETTLED_SLICES: Final = 2
"""A correction has run out after this many unchanged slices in a row; one may be a coincidence."""


def propagate_objects(
    state: SessionState,
    step: Step,
    object_ids: Iterable[int] | None,
    slices: range | None,
    direction: str,
    fit: FitPlan | None,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    """See `Session.propagate`."""
    chosen = list(dict.fromkeys(checked_objects(state, object_ids)))
    boxed = [obj for obj in chosen if helper_boxes(obj)]
    waiting = sorted((obj for obj in chosen if obj not in boxed), key=lambda obj: obj.axis)
    for obj in boxed:
        # What came into the run may have changed those that wait.
        if not _can_start(state, obj) or not helper_boxes(obj):
            continue
        axis, held = obj.axis, bounded(obj, None) or range(0)
        yield from propagate_boxed(state, step, obj, slices, direction, fit, should_stop)
        if should_stop():
            return
        reached = {(obj.object_id, index) for index in held}
        yield from _clear_unreached(state, step, axis, [obj], reached, slices, direction)
    while waiting:
        # Objects that are seen through one mix of channels go side by side.
        axis, mix = waiting[0].axis, waiting[0].mix
        along = {obj.object_id: obj for obj in waiting if (obj.axis, obj.mix) == (axis, mix)}
        waiting = [obj for obj in waiting if obj.object_id not in along]
        along = {object_id: obj for object_id, obj in along.items() if _can_start(state, obj)}
        if along:
            yield from _propagate_along(state, step, axis, mix, along, slices, direction, fit, should_stop)
        if should_stop():
            return


def _can_start(state: SessionState, obj: ObjectRecord) -> bool:
    """Whether an object is still there, open, and has a start."""
    return state.store.is_carried(obj, obj.axis) and not obj.finished and _has_start(obj)


def _has_start(obj: ObjectRecord) -> bool:
    """Whether a prompted or accepted slice says where the object is."""
    masks = {index: result.mask for index, result in obj.results.items()}
    return any(
        anchor is not None or (index in masks and masks[index].n_voxels > 0) for index, anchor in obj.anchors.items()
    )


def checked_objects(state: SessionState, object_ids: Iterable[int] | None) -> list[ObjectRecord]:
    """The objects that a propagation carries.

    Each with a prompt to start from.
    """
    chosen = state.chosen(object_ids)
    unprompted = [f"object {o.object_id}: it has no prompt to start from." for o in chosen if not _has_start(o)]
    if unprompted or not chosen:
        raise PromptError(unprompted or ["There is no object to propagate: give a box, a point or a mask."])
    return chosen


def spread_correction(
    state: SessionState,
    step: Step,
    object_id: int,
    index: int,
    slices: range | None,
    fitted: bool,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    """See `Session.spread`."""
    obj = state.find(object_id)
    if index not in obj.anchors or obj.finished:
        return
    axis, slices, anchors = obj.axis, bounded(obj, slices), sorted(obj.anchors)
    below = max((i for i in anchors if i < index), default=None)
    above = min((i for i in anchors if i > index), default=None)
    corrected = obj.results.get(index)

    def should_end() -> bool:
        # The correction was taken back, or replaced by another one.
        return should_stop() or obj.results.get(index) is not corrected

    for name, border in (("forward", above), ("backward", below)):
        if not state.store.is_carried(obj, axis) or should_end():
            return
        if border is not None:
            gap = _within(slices, range(index + 1, border) if name == "forward" else range(border + 1, index))
            yield from _write(state, step, obj, gap, "both", fitted, should_end)
        else:
            n_slices = state.volume.shape[obj.axis]
            side = _within(slices, range(index + 1, n_slices) if name == "forward" else range(index))
            yield from _until_settled(state, step, obj, side, name, fitted, should_end)


def _within(wanted: range | None, slices: range) -> range:
    return slices if wanted is None else range(max(slices.start, wanted.start), min(slices.stop, wanted.stop))


def _until_settled(
    state: SessionState,
    step: Step,
    obj: ObjectRecord,
    side: range,
    direction: str,
    fitted: bool,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    """Go outwards until masks come out as they were; what lies beyond stays, unless the object has ended."""
    axis, before = obj.axis, dict(obj.results)
    reached_end = side.stop - 1 if direction == "forward" else side.start
    settled = 0
    last = None
    for result in _write(state, step, obj, side, direction, fitted, should_stop):
        earlier = before.get(result.index)
        same = earlier is not None and iou(earlier.mask, result.mask) >= UNCHANGED_IOU
        settled = settled + 1 if same else 0
        last = result
        yield result
        if settled >= SETTLED_SLICES or earlier is None:
            return
    if last is None or last.index == reached_end or should_stop():
        return
    reached = {(obj.object_id, i) for i in range(state.volume.shape[obj.axis]) if i not in side}
    reached |= {(obj.object_id, i) for i in side if (i <= last.index) == (direction == "forward") or i == last.index}
    yield from _clear_unreached(state, step, axis, [obj], reached, side, direction)


def _write(
    state: SessionState,
    step: Step,
    obj: ObjectRecord,
    slices: range,
    direction: str,
    fitted: bool,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    """Propagate one object within a range, leaving prompted and accepted slices alone."""
    if len(slices) == 0:
        return
    anchors = {obj.object_id: anchors_of(state, obj)}
    if not anchors[obj.object_id]:
        return
    engine = state.engine(obj.axis, obj.mix)
    fitted_model = state.fits.model_for(obj.axis, obj.object_id, obj.anchors) if fitted else None
    models = {} if fitted_model is None else {obj.object_id: fitted_model}
    for result in engine.propagate(anchors, slices=slices, direction=direction, should_stop=should_stop, models=models):
        if state.store.keep(step, obj, result):
            yield result


def _propagate_along(
    state: SessionState,
    step: Step,
    axis: int,
    mix: Mix | None,
    along: dict[int, ObjectRecord],
    slices: range | None,
    direction: str,
    fit: FitPlan | None,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    reached: set[tuple[int, int]] = set()
    anchors = {object_id: anchors_of(state, obj) for object_id, obj in along.items()}
    engine = state.engine(axis, mix)
    if fit is None:
        run = engine.propagate(anchors, slices=slices, direction=direction, should_stop=should_stop)
    else:
        run = engine.propagate_fitted(
            anchors, state.fits, fit, slices=slices, direction=direction, should_stop=should_stop
        )
    for result in run:
        obj = along[result.object_id]
        if result.final:
            reached.add((result.object_id, result.index))
        if state.store.keep(step, obj, result):
            yield result
    if not should_stop():
        yield from _clear_unreached(state, step, axis, along.values(), reached, slices, direction)


def _clear_unreached(
    state: SessionState,
    step: Step,
    axis: int,
    objects: Iterable[ObjectRecord],
    reached: set[tuple[int, int]],
    slices: range | None,
    direction: str,
) -> Iterator[SliceResult]:
    """Empty what an earlier run left on slices where the object, as it is prompted now, has ended."""
    for obj in objects:
        if not obj.anchors or not state.store.is_carried(obj, axis):
            continue
        first, last = min(obj.anchors), max(obj.anchors)
        for index in sorted(obj.results):
            earlier = obj.results.get(index)
            on_the_way = direction == "both" or (index > first if direction == "forward" else index < last)
            stale = on_the_way and (slices is None or index in slices) and (obj.object_id, index) not in reached
            if stale and earlier is not None and earlier.mask.n_voxels:
                empty = SliceMask.of(np.zeros(state.volume.plane(axis).shape, dtype=bool))
                result = SliceResult(obj.object_id, axis, index, empty, GONE, prompted=False)
                if state.store.keep(step, obj, result):
                    yield result
