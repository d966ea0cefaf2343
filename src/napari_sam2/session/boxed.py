"""Objects with boxes on several planes.

Carried along each of them, and voted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.prompts import Box, SlicePrompts
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.engine.box3d import Extent, vote
from napari_sam2.engine.sweeps import DIRECTIONS
from napari_sam2.session.object_scene import helper_boxes
from napari_sam2.session.prompting import anchors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_sam2.core.history import Step
    from napari_sam2.engine.fit_plan import FitPlan
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

LEAST_TRUST: Final = 0.01
"""Of a run that found nothing beyond its box."""

__all__ = ["bounded", "propagate_boxed"]


def bounded(obj: ObjectRecord, slices: range | None) -> range | None:
    """The slices that a run may write.

    Those asked for, within the boxes on other planes where there are any.
    """
    helpers = helper_boxes(obj)
    if not helpers:
        return slices
    extent = Extent.of(helpers.values()).along(obj.axis)
    held = range(min([extent.start, *obj.anchors]), max([extent.stop, *(index + 1 for index in obj.anchors)]))
    return held if slices is None else range(max(held.start, slices.start), min(held.stop, slices.stop))


def propagate_boxed(
    state: SessionState,
    step: Step,
    obj: ObjectRecord,
    slices: range | None,
    direction: str,
    fit: FitPlan | None,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    """Carry an object along all its boxed planes, and vote.

    Along its own plane first, to be seen.
    """
    # What comes into the run may change prompts: it goes on with those that it began with.
    axis, helpers, anchors, start = obj.axis, helper_boxes(obj), sorted(obj.anchors), _boxed_slice(obj)
    held, writable = bounded(obj, None) or range(0), bounded(obj, slices) or range(0)
    extent = Extent.of(p for p in obj.prompts if isinstance(p, Box))
    own: dict[int, SliceResult] = {}
    last: SliceResult | None = None
    for result in _own_run(state, obj, held, fit, should_stop):
        own[result.index] = result
        last = replace(result, final=False)
        if last.index in writable and state.store.keep(step, obj, last):
            yield last
    if not state.store.is_carried(obj, axis):
        return
    runs = {axis: _volume(state, axis, {i: r.mask for i, r in [*obj.results.items(), *own.items()]}, held)}
    boxed, trust = {axis: start}, {axis: _mean_iou(own.values())}
    for other, box in helpers.items():
        results: dict[int, SliceResult] = {}
        for result in _helper_run(state, obj, other, box, extent, should_stop):
            results[result.index] = result
            if last is not None:
                yield last
        masks = {index: result.mask for index, result in results.items()}
        runs[other], boxed[other] = _volume(state, other, masks, extent.along(other)), box.slice_index(other)
        trust[other] = _mean_iou(r for r in results.values() if not r.prompted)
    if should_stop():
        return
    voted, plane = vote(runs, boxed, trust, state.volume.spacing, extent), state.volume.plane(axis)
    for index in writable:
        passed = any((index - anchor) * sign > 0 for anchor in anchors for sign in DIRECTIONS[direction])
        if not passed:
            continue
        scores = own[index].scores if index in own else SliceScores(float("-inf"), 0.0)
        mask = SliceMask.of(np.ascontiguousarray(plane.take(voted, index)))
        result = SliceResult(obj.object_id, axis, index, mask, scores, prompted=False)
        if state.store.keep(step, obj, result):
            yield result


def _own_run(
    state: SessionState, obj: ObjectRecord, held: range, fit: FitPlan | None, should_stop: Callable[[], bool]
) -> Iterator[SliceResult]:
    engine, anchors = state.engine(obj.axis, obj.mix), {obj.object_id: anchors_of(state, obj)}
    if fit is None:
        return engine.propagate(anchors, slices=held, should_stop=should_stop)
    return engine.propagate_fitted(anchors, state.fits, fit, slices=held, should_stop=should_stop)


def _helper_run(
    state: SessionState, obj: ObjectRecord, axis: int, box: Box, extent: Extent, should_stop: Callable[[], bool]
) -> Iterator[SliceResult]:
    engine, index = state.engine(axis, obj.mix), box.slice_index(axis)
    anchor = engine.predict(index, SlicePrompts.of([box], state.volume, axis)[index])
    yield SliceResult(0, axis, index, anchor.mask, anchor.scores, prompted=True)
    yield from engine.propagate({0: [anchor]}, slices=extent.along(axis), should_stop=should_stop)


def _mean_iou(results: Iterable[SliceResult]) -> float:
    """The mean predicted IoU of the slices that hold the object; hardly any trust without one."""
    estimates = [result.scores.predicted_iou for result in results if result.mask.n_voxels]
    return float(np.mean(estimates)) if estimates else LEAST_TRUST


def _boxed_slice(obj: ObjectRecord) -> int:
    """The slice of the object's own plane that a person boxed, or else the one that was prompted first."""
    own = [p.slice_index(obj.axis) for p in obj.prompts if isinstance(p, Box) and p.fixed_axes == (obj.axis,)]
    return own[-1] if own else min(obj.anchors)


def _volume(state: SessionState, axis: int, masks: dict[int, SliceMask], slices: range) -> NDArray[np.bool_]:
    """Masks of slices across `axis` as one (I, J, K) array."""
    plane, whole = state.volume.plane(axis), np.zeros(state.volume.shape, dtype=bool)
    for index, mask in masks.items():
        if index in slices:
            plane.take(whole, index)[...] = mask.full(plane.shape)
    return whole
