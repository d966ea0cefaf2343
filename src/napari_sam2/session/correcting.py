"""Corrections of an object that was carried through slices.

A click changes what is connected with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.prompts import Box, MaskPrompt, Point
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.engine.correction import CAREFUL_REACH, correct, correct_widely
from napari_sam2.engine.correction_odds import BOUNDED, BY_BOUNDED, BY_NETWORK, BY_PERCEPTRON, UNBOUNDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.history import Step
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.engine.correction import Change
    from napari_sam2.engine.correction_evidence import Window
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = [
    "ObjectScene",
    "changed_result",
    "correct_object",
    "corrected_about",
    "is_carried",
    "is_corrected",
    "new_clicks",
]


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
    state: SessionState, step: Step, obj: ObjectRecord, clicks: Sequence[Point], by: str = BY_BOUNDED
) -> list[SliceResult]:
    """Let new clicks change an object around them.

    One after the other; the slice of the last one comes last.

    A clicked slice counts as prompted from then on, with its mask as the answer. The slices beside it keep
    their scores and stay open to a later propagation.

    Parameters
    ----------
    by : str
        Who answers: the network, bounded in what it takes; for older journals without bound, or the perceptron alone.
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
            odds = UNBOUNDED if by == BY_NETWORK else BOUNDED
            trusted = _trusted_slices(obj, scene)
            change = correct_widely(scene, at, click.positive, before, fixed, trusted, _size(obj), odds)
        masks = _within_boxes(scene, _masks_after(scene, change), at)
        for index, mask in {at[0]: scene.full(at[0]), **masks}.items():
            result = changed_result(obj, index, mask, prompted=index == at[0])
            state.store.put(step, obj, "results", index, result)
            if index == at[0] or index in obj.anchors:
                state.store.put(step, obj, "anchors", index, None)
            changed[index] = result
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
    masks = _within_boxes(scene, _masks_after(scene, change), at)
    return SliceMask.of(masks.get(at[0], scene.full(at[0])))


class ObjectScene:
    """An object and its scan, as `napari_sam2.engine.correction_evidence.Scene` wants them."""

    def __init__(self, state: SessionState, obj: ObjectRecord) -> None:
        self._volume, self._window = state.channels.image(obj.mix, state.window)
        self._obj = obj
        self._plane = state.volume.plane(obj.axis)
        self.shape = (self._plane.n_slices, *self._plane.shape)
        self.spacing = (self._plane.slice_spacing, *self._plane.spacing)

    def voxel(self, click: Point) -> tuple[int, int, int]:
        """(slice, row, column) of the voxel that holds a click."""
        row, col = np.floor(self._plane.to_plane(np.array(click.voxel)) + 0.5).astype(int)
        height, width = self._plane.shape
        index = min(max(math.floor(click.voxel[self._plane.axis] + 0.5), 0), self._plane.n_slices - 1)
        return index, min(max(int(row), 0), height - 1), min(max(int(col), 0), width - 1)

    def full(self, index: int) -> NDArray[np.bool_]:
        """The object on a whole slice."""
        result = self._obj.results.get(index)
        return np.zeros(self._plane.shape, dtype=bool) if result is None else result.mask.full(self._plane.shape)

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """The object inside a window."""
        return np.stack([self.full(i)[window[1:]] for i in range(window[0].start, window[0].stop)])

    def image(self, window: Window) -> NDArray[np.float32]:
        """Grey values in [0, 1] inside a window."""
        slices = range(window[0].start, window[0].stop)
        stored = np.stack([self._plane.take(self._volume.voxels, i)[window[1:]] for i in slices])
        windowed = self._window.apply(stored)
        return windowed.mean(axis=-1, dtype=np.float32) if windowed.ndim > 3 else windowed

    def boxes(self) -> dict[int, tuple[slice, slice]]:
        """Rows and columns inside the last box of each boxed slice."""
        boxes = {}
        for prompt in self._obj.prompts:
            if isinstance(prompt, Box) and prompt.fixed_axes == (self._plane.axis,):
                corners = self._plane.to_plane(np.array(prompt.corners)).astype(int)
                (row0, col0), (row1, col1) = corners.min(axis=0), corners.max(axis=0)
                boxes[prompt.slice_index(self._plane.axis)] = (slice(row0, row1 + 1), slice(col0, col1 + 1))
        return boxes


def _size(obj: ObjectRecord) -> int:
    """Voxels of the object on all slices."""
    return sum(result.mask.n_voxels for result in obj.results.values())


def _fixed_slices(obj: ObjectRecord, clicked: int) -> list[int]:
    """Slices that a person accepted or painted, but for the one with the click."""
    return sorted(_settled_slices(obj) - {clicked})


def _trusted_slices(obj: ObjectRecord, scene: ObjectScene) -> list[int]:
    """Slices that a person boxed, accepted or painted."""
    return sorted(_settled_slices(obj) | scene.boxes().keys())


def _settled_slices(obj: ObjectRecord) -> set[int]:
    """Slices that a person accepted or painted."""
    painted = {prompt.index for prompt in obj.prompts if isinstance(prompt, MaskPrompt)}
    return painted | set(obj.accepted)


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
    scene: ObjectScene, masks: dict[int, NDArray[np.bool_]], click: tuple[int, int, int]
) -> dict[int, NDArray[np.bool_]]:
    """Masks that have gained nothing outside the boxes of their slices but the click itself."""
    boxed = scene.boxes()
    for index in boxed.keys() & masks.keys():
        allowed = scene.full(index)
        allowed[boxed[index]] = True
        if click[0] == index:
            allowed[click[1:]] = True
        masks[index] &= allowed
    return masks


def changed_result(obj: ObjectRecord, index: int, mask: NDArray[np.bool_], *, prompted: bool) -> SliceResult:
    """A slice's mask after a change, with the scores that there were."""
    before = obj.results.get(index)
    scores = SliceScores(float("nan"), 1.0) if before is None else before.scores
    if scores.object_score <= 0 and mask.any():
        scores = SliceScores(1.0, scores.predicted_iou, scores.neighbour_iou, scores.direction_iou)
    was_prompted = before is not None and before.prompted
    return SliceResult(obj.object_id, obj.axis, index, SliceMask.of(mask), scores, prompted=prompted or was_prompted)
