"""Runs of a session through many slices: propagation, and the spreading of a correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.history import Step
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores, iou
from napari_sam2.engine.propagate import propagate
from napari_sam2.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam2.session.objects import SegmentedObject
    from napari_sam2.session.session import Session

__all__ = ["propagate_objects", "spread_correction"]

UNCHANGED_IOU: Final = 0.98
"""A mask that overlaps its earlier self this much has not been changed by a correction further away."""

SETTLED_SLICES: Final = 2
"""A correction has run out after this many unchanged slices in a row; one may be a coincidence."""


def propagate_objects(
    session: Session,
    object_ids: Iterable[int] | None,
    slices: range | None,
    direction: str,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    """See `Session.propagate`."""
    chosen = session.chosen(object_ids)
    unprompted = [f"object {o.object_id}: it has no prompt to start from." for o in chosen if not o.anchors]
    if unprompted or not chosen:
        raise PromptError(unprompted or ["There is no object to propagate: give a box, a point or a mask."])
    wanted = None if slices is None else [slices.start, slices.stop]
    ids = [obj.object_id for obj in chosen]
    step = Step("propagation", {"objects": ids, "direction": direction, "range": wanted})
    try:
        for axis in sorted({obj.axis for obj in chosen}):
            along = {obj.object_id: obj for obj in chosen if obj.axis == axis}
            yield from _propagate_along(session, step, axis, along, slices, direction, should_stop)
            if should_stop():
                return
    finally:
        if should_stop():
            step.details["stopped"] = True
        session.finish(step)


def spread_correction(
    session: Session, object_id: int, index: int, slices: range | None, should_stop: Callable[[], bool]
) -> Iterator[SliceResult]:
    """See `Session.spread`."""
    obj = session.objects[object_id]
    if index not in obj.anchors or obj.protected:
        return
    wanted = None if slices is None else [slices.start, slices.stop]
    step = Step("correction", {"objects": [object_id], "joined": True, "slice": index, "range": wanted})
    anchors = sorted(obj.anchors)
    below = max((i for i in anchors if i < index), default=None)
    above = min((i for i in anchors if i > index), default=None)
    try:
        for name, border in (("forward", above), ("backward", below)):
            if border is not None:
                gap = _within(slices, range(index + 1, border) if name == "forward" else range(border + 1, index))
                yield from _write(session, step, obj, gap, "both", should_stop)
            else:
                n_slices = session.volume.shape[obj.axis]
                side = _within(slices, range(index + 1, n_slices) if name == "forward" else range(index))
                yield from _until_settled(session, step, obj, side, name, should_stop)
    finally:
        if should_stop():
            step.details["stopped"] = True
        session.finish(step)


def _within(wanted: range | None, slices: range) -> range:
    return slices if wanted is None else range(max(slices.start, wanted.start), min(slices.stop, wanted.stop))


def _until_settled(
    session: Session, step: Step, obj: SegmentedObject, side: range, direction: str, should_stop: Callable[[], bool]
) -> Iterator[SliceResult]:
    """Go outwards until masks come out as they were; what lies beyond stays, unless the object has ended."""
    before = dict(obj.results)
    reached_end = side.stop - 1 if direction == "forward" else side.start
    settled = 0
    last = None
    for result in _write(session, step, obj, side, direction, should_stop):
        earlier = before.get(result.index)
        same = earlier is not None and iou(earlier.mask, result.mask) >= UNCHANGED_IOU
        settled = settled + 1 if same else 0
        last = result
        yield result
        if settled >= SETTLED_SLICES or earlier is None:
            return
    if last is None or last.index == reached_end or should_stop():
        return
    reached = {(obj.object_id, i) for i in range(session.volume.shape[obj.axis]) if i not in side}
    reached |= {(obj.object_id, i) for i in side if (i <= last.index) == (direction == "forward") or i == last.index}
    yield from _clear_unreached(session, step, [obj], reached, side, direction)


def _write(
    session: Session, step: Step, obj: SegmentedObject, slices: range, direction: str, should_stop: Callable[[], bool]
) -> Iterator[SliceResult]:
    """Propagate one object within a range, leaving prompted and accepted slices alone."""
    if len(slices) == 0:
        return
    anchors = {obj.object_id: session.anchors_of(obj)}
    engine = session.engine(obj.axis)
    for result in propagate(engine, anchors, slices=slices, direction=direction, should_stop=should_stop):
        if session.objects.get(obj.object_id) is obj and not obj.is_fixed(result.index):
            session.store.put(step, obj, "results", result.index, result)
            yield result


def _propagate_along(
    session: Session,
    step: Step,
    axis: int,
    along: dict[int, SegmentedObject],
    slices: range | None,
    direction: str,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    reached: set[tuple[int, int]] = set()
    anchors = {object_id: session.anchors_of(obj) for object_id, obj in along.items()}
    engine = session.engine(axis)
    for result in propagate(engine, anchors, slices=slices, direction=direction, should_stop=should_stop):
        obj = along[result.object_id]
        reached.add((result.object_id, result.index))
        if session.objects.get(result.object_id) is obj and obj.axis == axis and not obj.is_fixed(result.index):
            session.store.put(step, obj, "results", result.index, result)
            yield result
    if not should_stop():
        yield from _clear_unreached(session, step, along.values(), reached, slices, direction)


def _clear_unreached(
    session: Session,
    step: Step,
    objects: Iterable[SegmentedObject],
    reached: set[tuple[int, int]],
    slices: range | None,
    direction: str,
) -> Iterator[SliceResult]:
    """Empty what an earlier run left on slices where the object, as it is prompted now, has ended."""
    for obj in objects:
        if not obj.anchors:
            continue
        first, last = min(obj.anchors), max(obj.anchors)
        for index in sorted(obj.results):
            on_the_way = direction == "both" or (index > first if direction == "forward" else index < last)
            stale = on_the_way and (slices is None or index in slices) and not obj.is_fixed(index)
            if stale and (obj.object_id, index) not in reached and obj.results[index].mask.n_voxels:
                empty = SliceMask.of(np.zeros(session.engine(obj.axis).plane.shape, dtype=bool))
                scores = SliceScores(float("-inf"), 0.0)
                result = SliceResult(obj.object_id, obj.axis, index, empty, scores, prompted=False)
                session.store.put(step, obj, "results", index, result)
                yield result
