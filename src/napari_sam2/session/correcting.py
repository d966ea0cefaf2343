"""Corrections of an object that was carried through slices.

A click changes what is connected with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine.correction import CAREFUL_REACH, correct, correct_widely
from napari_sam2.engine.correction_odds import BY_DOUBTED, BY_MENDED, BY_PERCEPTRON, BY_WHOLE, ODDS, UNBOUNDED
from napari_sam2.session.consolidating import doubted, reconsider_object
from napari_sam2.session.object_scene import (
    ObjectScene,
    changed_result,
    masks_after,
    settled_slices,
    trusted_slices,
    within_boxes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.core.history import Step
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["correct_object", "corrected_about", "is_carried", "is_corrected", "new_clicks"]


MOST_REMOVED: Final = UNBOUNDED.most_removed
"""Share of an object beyond which the perceptron answers an exclude click carefully."""


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


def correct_object(
    state: SessionState, step: Step, obj: ObjectRecord, clicks: Sequence[Point], by: str = BY_MENDED
) -> list[SliceResult]:
    """Let new clicks change an object around them.

    One after the other; the slice of the last one comes last.

    A clicked slice counts as prompted from then on, with its mask as the answer. The slices beside it keep
    their scores and stay open to a later propagation.

    Parameters
    ----------
    by : str
        Who answers, see `napari_sam2.engine.correction_odds`: today and, for older journals, as it was then.
    """
    earlier = [prompt for prompt in obj.prompts if isinstance(prompt, Point)]
    changed: dict[int, SliceResult] = {}
    for number, click in enumerate(clicks):
        scene = ObjectScene(state, obj)
        at = scene.voxel(click)
        before = [(scene.voxel(p), p.positive) for p in (*earlier, *clicks[:number])]
        fixed = _fixed_slices(obj, at[0])
        if by == BY_PERCEPTRON:
            change = correct(scene, at, click.positive, before, fixed)
            if not click.positive and change is not None and change.voxels.sum() > MOST_REMOVED * _size(obj):
                change = correct(scene, at, click.positive, before, fixed, reach=CAREFUL_REACH)
        else:
            trusted = trusted_slices(obj, scene)
            change = correct_widely(scene, at, click.positive, before, fixed, trusted, _size(obj), ODDS[by])
        clicked = [*before, (at, click.positive)]
        if by == BY_DOUBTED and change is not None:
            change = doubted(obj, scene, clicked, change)
        masks = within_boxes(scene, masks_after(scene, change), at)
        for index, mask in {at[0]: scene.full(at[0]), **masks}.items():
            result = changed_result(obj, index, mask, prompted=index == at[0])
            state.store.put(step, obj, "results", index, result)
            if index == at[0] or index in obj.anchors:
                state.store.put(step, obj, "anchors", index, None)
            changed[index] = result
        if by in (BY_WHOLE, BY_DOUBTED):
            for result in reconsider_object(state, step, obj, clicked, change, by):
                changed[result.index] = result
        changed[at[0]] = changed.pop(at[0])
    return list(changed.values())


def corrected_about(state: SessionState, obj: ObjectRecord, click: Point) -> SliceMask:
    """The slice of a click as the perceptron alone would correct it.

    A fraction of the cost of the whole answer; nothing is remembered.
    """
    scene = ObjectScene(state, obj)
    at = scene.voxel(click)
    before = [(scene.voxel(p), p.positive) for p in obj.prompts if isinstance(p, Point)]
    change = correct(scene, at, click.positive, before, _fixed_slices(obj, at[0]))
    masks = within_boxes(scene, masks_after(scene, change), at)
    return SliceMask.of(masks.get(at[0], scene.full(at[0])))


def _size(obj: ObjectRecord) -> int:
    """Voxels of the object on all slices."""
    return sum(result.mask.n_voxels for result in obj.results.values())


def _fixed_slices(obj: ObjectRecord, clicked: int) -> list[int]:
    """Slices that a person accepted or painted, but for the one with the click."""
    return sorted(settled_slices(obj) - {clicked})
