"""Carried objects, looked over as a whole when a run has ended."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.engine.consolidation import consolidate, reconsider
from napari_sam2.engine.consolidation_evidence import Run
from napari_sam2.engine.consolidation_rules import AFTER_CLICKS, BORDERS_AFTER_CLICKS, BY_BORDERS
from napari_sam2.engine.correction_odds import BY_DOUBTED, BY_MENDED
from napari_sam2.engine.second_opinion import second_opinion
from napari_sam2.engine.sweeps import DIRECTIONS, GONE
from napari_sam2.session.object_scene import ObjectScene, changed_result, helper_boxes, trusted_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from napari_sam2.core.history import Step
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.correction import Change
    from napari_sam2.engine.correction_evidence import Voxel, Window
    from napari_sam2.models.base import ModelCard
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["answers_clicks", "consolidate_objects", "doubted", "looks_over", "reconsider_object"]

MEASURED: Final = ("bundled",)
"""Kinds of models for which it was measured."""


def looks_over(card: ModelCard) -> str | None:
    """Who looks over what a model has carried.

    Nobody where that was not measured.
    """
    return BY_BORDERS if card.kind in MEASURED else None


def answers_clicks(card: ModelCard, *, whole: bool = True) -> str:
    """Who answers clicks on objects that a model has carried.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    whole : bool
        Whether the whole object may be gone over after each.
    """
    return BY_DOUBTED if whole and card.kind in MEASURED else BY_MENDED


def consolidate_objects(
    state: SessionState, step: Step, object_ids: Iterable[int], slices: range | None, direction: str, by: str
) -> Iterator[SliceResult]:
    """Look over objects that have one prompted slice, on one plane.

    Slices that change come once more.
    """
    for object_id in object_ids:
        obj = state.store.objects.get(object_id)
        if obj is None or obj.finished or len(obj.anchors) != 1 or helper_boxes(obj):
            continue
        yield from _consolidate(state, step, obj, slices, direction, by)


def _consolidate(
    state: SessionState, step: Step, obj: ObjectRecord, slices: range | None, direction: str, by: str
) -> Iterator[SliceResult]:
    bounds = _bounds(obj)
    if bounds is None:
        return
    scene, axis, before = ObjectScene(state, obj), obj.axis, dict(obj.results)
    (anchor,) = obj.anchors
    known = sorted({anchor, *obj.accepted})
    trust = {index: result.scores.predicted_iou for index, result in obj.results.items()}
    change = consolidate(scene, Run(bounds, known, trust, slices), by)
    if change is None:
        return
    for offset in np.flatnonzero(change.voxels.any(axis=(1, 2))):
        index = change.window[0].start + int(offset)
        if not state.store.is_carried(obj, axis):
            return
        if obj.results.get(index) is not before.get(index):
            # Changed by what came into the run: it is not what was looked over.
            continue
        asked = any((index - anchor) * sign > 0 for sign in DIRECTIONS[direction])
        if obj.is_fixed(index) or not asked or (slices is not None and index not in slices):
            continue
        result = _with(obj, scene, change, int(offset))
        if state.store.keep(step, obj, result):
            yield result


def doubted(obj: ObjectRecord, scene: ObjectScene, clicks: Sequence[tuple[Voxel, bool]], change: Change) -> Change:
    """What of a click's change stands after a second opinion.

    Parameters
    ----------
    scene : ObjectScene
        Before the change.
    clicks : sequence of (voxel, bool)
        All of them, the last one as well.
    """
    run = _known_of(obj, scene, clicks, BY_DOUBTED)
    return change if run is None else second_opinion(scene, run, change)


def reconsider_object(
    state: SessionState,
    step: Step,
    obj: ObjectRecord,
    clicks: Sequence[tuple[Voxel, bool]],
    corrected: Change | None,
    by: str = BY_DOUBTED,
) -> Iterator[SliceResult]:
    """Go over a whole object after its last click was answered.

    Only slices that a run or a click has come to change, and none that was boxed, accepted or painted.

    Parameters
    ----------
    clicks : sequence of (voxel, bool)
        All of them, the last one as well.
    corrected : Change, optional
        What the last one changed.
    by : str
        Who answered it, see `napari_sam2.engine.correction_odds`.
    """
    scene = ObjectScene(state, obj)
    run = _known_of(obj, scene, clicks, by)
    if run is None:
        return
    rule = BORDERS_AFTER_CLICKS if by == BY_DOUBTED else AFTER_CLICKS
    change = reconsider(scene, run, corrected, rule=rule)
    if change is None:
        return
    for offset in np.flatnonzero(change.voxels.any(axis=(1, 2))):
        index = change.window[0].start + int(offset)
        if index not in obj.results or index in obj.accepted:
            continue
        result = _with(obj, scene, change, int(offset))
        state.store.put(step, obj, "results", index, result)
        if index in obj.anchors:
            state.store.put(step, obj, "anchors", index, None)
        yield result


def _known_of(obj: ObjectRecord, scene: ObjectScene, clicks: Sequence[tuple[Voxel, bool]], by: str) -> Run | None:
    """What is known of an object with clicks; None where it is not gone over.

    The model has no opinion of a slice that only clicks have reached, although `BY_WHOLE` took one for granted.
    """
    bounds, known = _bounds(obj), trusted_slices(obj, scene)
    if bounds is None or not known or helper_boxes(obj):
        return None
    trust = {
        index: result.scores.predicted_iou
        for index, result in obj.results.items()
        if by != BY_DOUBTED or not math.isnan(result.scores.object_score)
    }
    return Run(bounds, known, trust, clicks=clicks)


def _with(obj: ObjectRecord, scene: ObjectScene, change: Change, offset: int) -> SliceResult:
    """A slice after a change."""
    index = change.window[0].start + offset
    mask = scene.full(index)
    mask[change.window[1:]] ^= change.voxels[offset]
    result = changed_result(obj, index, mask, prompted=False)
    return result if mask.any() else replace(result, scores=GONE)


def _bounds(obj: ObjectRecord) -> Window | None:
    """Around an object's masks, as (slices, rows, columns); None where there is none."""
    filled = [(index, result.mask) for index, result in obj.results.items() if result.mask.n_voxels]
    if not filled:
        return None
    return (
        slice(min(index for index, _ in filled), max(index for index, _ in filled) + 1),
        slice(min(m.row for _, m in filled), max(m.row + m.crop.shape[0] for _, m in filled)),
        slice(min(m.col for _, m in filled), max(m.col + m.crop.shape[1] for _, m in filled)),
    )
