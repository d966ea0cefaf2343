"""An object and its scan as corrections see them.

And the masks that a change leaves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.prompts import Box, MaskPrompt
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Point
    from napari_sam2.engine.correction import Change
    from napari_sam2.engine.correction_evidence import Window
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = [
    "ObjectScene",
    "changed_result",
    "helper_boxes",
    "masks_after",
    "settled_slices",
    "trusted_slices",
    "within_boxes",
]


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


def trusted_slices(obj: ObjectRecord, scene: ObjectScene) -> list[int]:
    """Slices that a person boxed, accepted or painted."""
    return sorted(settled_slices(obj) | scene.boxes().keys())


def settled_slices(obj: ObjectRecord) -> set[int]:
    """Slices that a person accepted or painted."""
    painted = {prompt.index for prompt in obj.prompts if isinstance(prompt, MaskPrompt)}
    return painted | set(obj.accepted)


def masks_after(scene: ObjectScene, change: Change | None) -> dict[int, NDArray[np.bool_]]:
    """Whole masks of the slices that a change concerns."""
    if change is None:
        return {}
    masks = {}
    for offset in np.flatnonzero(change.voxels.any(axis=(1, 2))):
        index = change.window[0].start + int(offset)
        masks[index] = scene.full(index)
        masks[index][change.window[1:]] ^= change.voxels[offset]
    return masks


def within_boxes(
    scene: ObjectScene, masks: dict[int, NDArray[np.bool_]], click: tuple[int, int, int]
) -> dict[int, NDArray[np.bool_]]:
    """Masks that have gained nothing outside their boxes.

    But for the click itself.
    """
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


def helper_boxes(obj: ObjectRecord) -> dict[int, Box]:
    """The boxes on other planes than the object's own, by axis.

    The last one on each counts.
    """
    boxes = [p for p in obj.prompts if isinstance(p, Box) and p.fixed_axes != (obj.axis,)]
    return {box.fixed_axes[0]: box for box in boxes}
