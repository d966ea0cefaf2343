"""Corrections of an object that was carried through slices.

A click changes what is connected with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.prompts import MaskPrompt, Point
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.engine.correction import correct
from napari_sam2.engine.correction_evidence import depth_of
from napari_sam2.engine.object_correction import cut_anew
from napari_sam2.engine.object_evidence import Click
from napari_sam2.session.object_scene import ObjectScene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.history import Step
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.engine.correction import Change
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["correct_object", "is_carried", "is_corrected", "new_clicks"]


def is_carried(obj: ObjectRecord) -> bool:
    """Whether an object has masks on slices that nobody prompted or accepted."""
    return any(result.mask.n_voxels and index not in obj.anchors for index, result in obj.results.items())


def is_corrected(obj: ObjectRecord, index: int) -> bool:
    """Whether the last prompt has changed the slices beside it.

    Such a prompt is a click, on the slice.
    """
    last = obj.prompts[-1] if obj.prompts else None
    return isinstance(last, Point) and last.slice_index(obj.axis) == index and is_carried(obj)


def new_clicks(before: Sequence[Prompt], after: Sequence[Prompt]) -> list[Point]:
    """The clicks that were added.

    Empty when anything else has changed as well.
    """
    if len(after) <= len(before) or any(a is not b and a != b for a, b in zip(before, after, strict=False)):
        return []
    added = after[len(before) :]
    return [p for p in added if isinstance(p, Point)] if all(isinstance(p, Point) for p in added) else []


def correct_object(state: SessionState, step: Step, obj: ObjectRecord, clicks: Sequence[Point]) -> list[SliceResult]:
    """Let new clicks change an object around them.

    One after the other; the slice of the last one comes last.

    A clicked slice counts as prompted from then on, with its mask as the answer. The slices beside it keep
    their scores and stay open to a later propagation.
    """
    earlier = [prompt for prompt in obj.prompts if isinstance(prompt, Point)]
    changed: dict[int, SliceResult] = {}
    for number, click in enumerate(clicks):
        scene = ObjectScene(state, obj)
        at = scene.voxel(click)
        depth = depth_of(scene, at, click.positive, np.asarray(scene.spacing))
        before = [Click(scene.voxel(p), p.positive, 0.0) for p in (*earlier, *clicks[:number])]
        given = [*before, Click(at, click.positive, depth)]
        fixed = _fixed_slices(obj, at[0])
        change = correct(scene, at, click.positive, [(c.voxel, c.include) for c in before], fixed)
        _take_over(state, step, obj, scene, at, _within_boxes(scene, _masks_after(scene, change), given), changed)
        bounds = scene.bounds()
        if depth > 0 and bounds is not None:
            change = cut_anew(scene, bounds, given, {*scene.boxes(), *fixed}, fixed)
            _take_over(state, step, obj, scene, at, _within_boxes(scene, _masks_after(scene, change), given), changed)
        changed[at[0]] = changed.pop(at[0])
    return list(changed.values())


def _take_over(
    state: SessionState,
    step: Step,
    obj: ObjectRecord,
    scene: ObjectScene,
    at: tuple[int, int, int],
    masks: dict[int, NDArray[np.bool_]],
    changed: dict[int, SliceResult],
) -> None:
    """Keep new masks; the slice of the click at a voxel `at` counts as prompted from then on."""
    for index, mask in {at[0]: scene.full(at[0]), **masks}.items():
        result = _result(obj, index, mask, prompted=index == at[0])
        state.store.put(step, obj, "results", index, result)
        if index == at[0] or index in obj.anchors:
            state.store.put(step, obj, "anchors", index, None)
        changed[index] = result


def _fixed_slices(obj: ObjectRecord, clicked: int) -> list[int]:
    """Slices that a person accepted or painted, but for the one with the click."""
    painted = {prompt.index for prompt in obj.prompts if isinstance(prompt, MaskPrompt)}
    return sorted((painted | set(obj.accepted)) - {clicked})


def _masks_after(scene: ObjectScene, change: Change | None) -> dict[int, NDArray[np.bool_]]:
    """Whole masks of the slices that a change concerns."""
    if change is None:
        return {}
    masks = {}
    for offset in np.flatnonzero(change.voxels.any(axis=(1, 2))):
        index = change.window[0].start + int(offset)
        masks[index] = scene.full(index)
        masks[index][change.window[1:]] ^= change.voxels[offset]
    return masks


def _within_boxes(
    scene: ObjectScene, masks: dict[int, NDArray[np.bool_]], clicks: Sequence[Click]
) -> dict[int, NDArray[np.bool_]]:
    """Masks that have gained nothing outside the boxes of their slices but clicks themselves."""
    boxed = scene.boxes()
    for index in boxed.keys() & masks.keys():
        allowed = scene.full(index)
        allowed[boxed[index]] = True
        for click in clicks:
            if click.include and click.voxel[0] == index:
                allowed[click.voxel[1:]] = True
        masks[index] &= allowed
    return masks


def _result(obj: ObjectRecord, index: int, mask: NDArray[np.bool_], *, prompted: bool) -> SliceResult:
    before = obj.results.get(index)
    scores = SliceScores(float("nan"), 1.0) if before is None else before.scores
    if scores.object_score <= 0 and mask.any():
        scores = SliceScores(1.0, scores.predicted_iou, scores.neighbour_iou, scores.direction_iou)
    was_prompted = before is not None and before.prompted
    return SliceResult(obj.object_id, obj.axis, index, SliceMask.of(mask), scores, prompted=prompted or was_prompted)
