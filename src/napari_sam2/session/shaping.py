"""Hand tools on an object of a session.

Its masks on one slice, or on all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.core.hand_tools.tools import KeepPart
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.hand_tools.tools import HandTool
    from napari_sam2.core.history import Step
    from napari_sam2.core.volume import SlicePlane
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["shape_object"]


def shape_object(
    state: SessionState, step: Step, object_id: int, tool: HandTool, index: int | None
) -> list[SliceResult]:
    """See `Session.use_tool`."""
    obj = state.find(object_id)
    if obj.finished:
        raise UserInputError(f"Object {object_id} is finished; reopen it before changing it.")
    if index is None and tool.on_slice:
        raise UserInputError(f"The tool {tool.name!r} works on a slice; name it.")
    plane = state.volume.plane(obj.axis)
    if index is not None and not 0 <= index < plane.n_slices:
        raise UserInputError(f"Slices run from 0 to {plane.n_slices - 1}; there is no slice {index}.")
    if index in obj.accepted:
        raise UserInputError(f"Slice {index} of object {object_id} is accepted; reopen it to change it.")
    flat = index is not None or tool.by_slice
    tool.check(plane.spacing if flat else (plane.slice_spacing, *plane.spacing))
    if isinstance(tool, KeepPart):
        tool = replace(tool, at=_laid_out(plane, tool.at))
    if index is not None:
        masks = {index: _on_slice(state, obj, plane, tool, index)}
    elif tool.by_slice:
        held = [i for i, result in obj.results.items() if result.mask.n_voxels]
        masks = {i: _on_slice(state, obj, plane, tool, i) for i in sorted(held)}
    else:
        masks = _on_all(obj, plane, tool)
    return _put(state, step, obj, masks, by_hand=index)


def _on_slice(
    state: SessionState, obj: ObjectRecord, plane: SlicePlane, tool: HandTool, index: int
) -> NDArray[np.bool_]:
    image = None
    if tool.sees:
        image = plane.take(state.volume.voxels, index).astype(np.float64)
        image = image.mean(axis=-1) if image.ndim > 2 else image
    return tool.use(_full(obj, plane, index), image, plane.spacing)


def _on_all(obj: ObjectRecord, plane: SlicePlane, tool: HandTool) -> dict[int, NDArray[np.bool_]]:
    whole = np.stack([_full(obj, plane, index) for index in range(plane.n_slices)])
    changed = tool.use(whole, None, (plane.slice_spacing, *plane.spacing))
    return {int(index): changed[index] for index in np.flatnonzero((changed != whole).any(axis=(1, 2)))}


def _full(obj: ObjectRecord, plane: SlicePlane, index: int) -> NDArray[np.bool_]:
    result = obj.results.get(index)
    return np.zeros(plane.shape, dtype=bool) if result is None else result.mask.full(plane.shape)


def _put(
    state: SessionState, step: Step, obj: ObjectRecord, masks: dict[int, NDArray[np.bool_]], by_hand: int | None
) -> list[SliceResult]:
    """Take over masks that have changed; a slice that was shaped alone stays as it is in later propagations."""
    results = []
    for index, full in masks.items():
        mask, before = SliceMask.of(full), obj.results.get(index)
        unchanged = before.mask.same_as(mask) if before is not None else not mask.n_voxels
        if index in obj.accepted or unchanged:
            continue
        scores = SliceScores(1.0, 1.0) if before is None else before.scores
        prompted = index == by_hand or (before is not None and before.prompted)
        result = SliceResult(obj.object_id, obj.axis, index, mask, scores, prompted=prompted)
        state.store.put(step, obj, "results", index, result)
        if index == by_hand or index in obj.anchors:
            state.store.put(step, obj, "anchors", index, None)
        results.append(result)
    return results


def _laid_out(plane: SlicePlane, voxel: tuple[int, int, int]) -> tuple[int, int, int]:
    row, col = plane.to_plane(np.array(voxel, dtype=np.float64)).astype(int)
    return int(voxel[plane.axis]), int(row), int(col)
