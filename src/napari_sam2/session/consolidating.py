"""Carried objects, looked over as a whole when a run has ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.engine.consolidation import BY_NETWORK, consolidate
from napari_sam2.engine.consolidation_evidence import Run
from napari_sam2.engine.sweeps import DIRECTIONS, GONE
from napari_sam2.session.boxed import helper_boxes
from napari_sam2.session.correcting import ObjectScene, changed_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam2.core.history import Step
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.correction_evidence import Window
    from napari_sam2.models.base import ModelCard
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["consolidate_objects", "looks_over"]

MEASURED: Final = ("bundled",)
"""Kinds of models for which it was measured."""


def looks_over(card: ModelCard) -> str | None:
    """Who looks over what a model has carried.

    Nobody where that was not measured.
    """
    return BY_NETWORK if card.kind in MEASURED else None


def consolidate_objects(
    state: SessionState, step: Step, object_ids: Iterable[int], slices: range | None, direction: str
) -> Iterator[SliceResult]:
    """Look over objects that have one prompted slice, on one plane.

    Slices that change come once more.
    """
    for object_id in object_ids:
        obj = state.store.objects.get(object_id)
        if obj is None or obj.finished or len(obj.anchors) != 1 or helper_boxes(obj):
            continue
        yield from _consolidate(state, step, obj, slices, direction)


def _consolidate(
    state: SessionState, step: Step, obj: ObjectRecord, slices: range | None, direction: str
) -> Iterator[SliceResult]:
    bounds = _bounds(obj)
    if bounds is None:
        return
    scene, axis, before = ObjectScene(state, obj), obj.axis, dict(obj.results)
    (anchor,) = obj.anchors
    known = sorted({anchor, *obj.accepted})
    trust = {index: result.scores.predicted_iou for index, result in obj.results.items()}
    change = consolidate(scene, Run(bounds, known, trust, slices))
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
        mask = scene.full(index)
        mask[change.window[1:]] ^= change.voxels[offset]
        result = changed_result(obj, index, mask, prompted=False)
        result = result if mask.any() else replace(result, scores=GONE)
        if state.store.keep(step, obj, result):
            yield result


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
