"""Answers of a session.

Prompts of one object become masks on the slices they lie on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from napari_sam2.core.prompts import (
    OTHER_PLANE,
    Box,
    MaskPrompt,
    ObjectPrompts,
    Point,
    Prompt,
    SlicePrompts,
    check_prompts,
    slice_axis_of,
)
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.engine.side_by_side import side_by_side
from napari_sam2.errors import UserInputError
from napari_sam2.session.channels import settle_mix
from napari_sam2.session.correcting import correct_object, is_carried, new_clicks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.engine.engine import Anchor
    from napari_sam2.engine.verbs import SliceEngine
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = [
    "anchors_of",
    "answer_again",
    "answer_prompts",
    "answered_ahead",
    "empty_result",
    "prompts_by_slice",
    "with_painted",
]


def answer_prompts(
    state: SessionState,
    step: Step,
    object_id: int,
    prompts: Iterable[Prompt],
    *,
    around: str | None,
    mix: Mix | None = None,
) -> list[SliceResult]:
    """See `Session.set_prompts`, and `napari_sam2.session.actions.SetPrompts` for `around` and `mix`."""
    new_prompts = list(prompts)
    record = state.store.objects.get(object_id)
    if new_prompts:
        begun = [object_id] if record is not None and is_carried(record) else []
        check_prompts([ObjectPrompts(object_id, tuple(new_prompts))], state.volume, begun=begun)
    if record is not None:
        _check_free(record, new_prompts)
    obj = record or state.new_object(step, object_id)
    if obj.results and not obj.prompts:
        # Opened labels: their masks stay where they are, whatever plane is prompted.
        axis = obj.axis
    else:
        named = slice_axis_of(new_prompts)
        axis = (obj.axis if obj.prompts else state.axis) if named is None else named
    if axis != obj.axis:
        state.store.clear(step, obj)
        state.store.set(step, obj, "axis", axis)
    clicks = new_clicks(obj.prompts, new_prompts)
    if around and clicks and is_carried(obj):
        results = correct_object(state, step, obj, clicks, around)
        state.store.set(step, obj, "prompts", new_prompts)
        return results
    before, after = _by_slice(obj.prompts, axis), _by_slice(new_prompts, axis)
    for index in before.keys() - after.keys():
        state.store.drop(step, obj, "anchors", index)
        state.store.drop(step, obj, "results", index)
    on_slices = SlicePrompts.of(new_prompts, state.volume, axis)
    settle_mix(state, step, obj, on_slices, mix)
    changed = [index for index, of_slice in after.items() if of_slice != before.get(index)]
    results = [_answer(state, step, obj, i, on_slices[i], before.get(i, []), after[i]) for i in changed]
    results += [_shown(state, obj, p) for p in new_prompts if _is_helper(p, axis) and p not in obj.prompts]
    if new_prompts != obj.prompts:
        state.store.set(step, obj, "prompts", new_prompts)
    return results


def answered_ahead(state: SessionState, objects: Iterable[ObjectPrompts]) -> Iterator[ObjectPrompts]:
    """Objects in their order, each with its answers ready.

    New objects are answered side by side where the model can, see `napari_sam2.engine.side_by_side`; their actions
    find the answers in ``state.ready`` and so keep their order and their place in history and journal. What has a
    past, or a choice of channels to be made first, is answered by its action.
    """

    def questions() -> Iterator[tuple[ObjectPrompts, SliceEngine[Any, Any] | None, dict[int, SlicePrompts]]]:
        begun = set(state.store.objects)
        for obj in objects:
            named = slice_axis_of(obj.prompts)
            axis = state.axis if named is None else named
            if obj.whole is not None or state.channels.several or obj.object_id in begun:
                yield obj, None, {}
            else:
                yield obj, state.engine(axis), SlicePrompts.of(obj.prompts, state.volume, axis)
            begun.add(obj.object_id)

    def answers(
        asked: tuple[ObjectPrompts, SliceEngine[Any, Any] | None, dict[int, SlicePrompts]],
    ) -> tuple[ObjectPrompts, dict[int, Any]]:
        obj, engine, on_slices = asked
        return obj, {} if engine is None else {i: engine.predict(i, prompts) for i, prompts in on_slices.items()}

    try:
        for obj, by_slice in side_by_side(state.model, answers, questions()):
            state.ready = {(obj.object_id, index): anchor for index, anchor in by_slice.items()}
            yield obj
    finally:
        state.ready = {}


def prompts_by_slice(state: SessionState, obj: ObjectRecord) -> dict[int, SlicePrompts]:
    """The prompts of an object on its own slices."""
    return SlicePrompts.of(obj.prompts, state.volume, obj.axis) if obj.prompts else {}


def answer_again(state: SessionState, step: Step, obj: ObjectRecord) -> list[SliceResult]:
    """Answer an object's prompted slices anew, as the model sees them now.

    Accepted slices stay. What was carried stays until it is carried again.
    """
    by_slice, on_slices = _by_slice(obj.prompts, obj.axis), prompts_by_slice(state, obj)
    for index in list(obj.anchors):
        state.store.put(step, obj, "anchors", index, None)
    open_slices = [index for index in by_slice if index not in obj.accepted]
    return [_answer(state, step, obj, i, on_slices[i], [], by_slice[i], afresh=True) for i in open_slices]


def with_painted(state: SessionState, object_id: int, axis: int, index: int, mask: SliceMask) -> list[Prompt]:
    """An object's prompts with a painted mask among them.

    In place of all others on its slice; see `Session.edit_mask`.
    """
    obj = state.store.objects.get(object_id)
    prompts: list[Prompt] = [] if obj is None else list(obj.prompts)
    if obj is not None and obj.prompts and obj.axis != axis:
        raise UserInputError(
            f"Object {object_id} is segmented on {state.volume.plane_name(obj.axis)} slices; paint it there."
        )
    kept = [p for p in prompts if p.slice_index(axis) != index]
    if mask.n_voxels:
        plane = state.volume.plane(axis)
        full = np.zeros([1 if a == axis else n for a, n in enumerate(state.volume.shape)], dtype=bool)
        plane.take(full, 0)[...] = mask.full(plane.shape)
        kept.append(MaskPrompt(np.squeeze(full, axis), axis, index))
    return kept


def empty_result(object_id: int, axis: int, index: int) -> SliceResult:
    """The answer on a slice where nothing is left."""
    empty = SliceMask.of(np.zeros((1, 1), dtype=bool))
    return SliceResult(object_id, axis, index, empty, SliceScores(float("-inf"), 0.0), prompted=True)


def anchors_of(state: SessionState, obj: ObjectRecord) -> list[Anchor]:
    """Prompted and accepted slices of an object as the engine knows them."""
    anchors = [_anchor(state, obj, index) for index in obj.anchors]
    return [anchor for anchor in anchors if anchor is not None]


def _anchor(state: SessionState, obj: ObjectRecord, index: int) -> Anchor | None:
    """A prompted or accepted slice as the engine knows it, made from its mask when there is no answer."""
    anchor = obj.anchors[index]
    result = obj.results.get(index)
    if anchor is None and result is not None and result.mask.n_voxels:
        engine = state.engine(obj.axis, obj.mix)
        mask = SlicePrompts(np.zeros((0, 2)), np.zeros(0, dtype=bool), mask=result.mask.full(engine.plane.shape))
        anchor = engine.predict(index, mask)
        obj.anchors[index] = anchor
    return anchor


def _answer(
    state: SessionState,
    step: Step,
    obj: ObjectRecord,
    index: int,
    prompts: SlicePrompts,
    before: list[Prompt],
    after: list[Prompt],
    *,
    afresh: bool = False,
) -> SliceResult:
    # As in SAM 2, a slice that was reached by propagation is answered with the memory of the prompted
    # ones, and a slice that is prompted for the first time on its own.
    tracked = index in obj.results and not obj.results[index].prompted
    others = anchors_of(state, obj) if tracked else []
    previous = None if afresh else _to_correct(obj, index, before, after)
    anchor: Any = state.ready.pop((obj.object_id, index), None)
    if anchor is None:
        anchor = state.engine(obj.axis, obj.mix).predict(index, prompts, previous=previous, others=others)
    result = SliceResult(obj.object_id, obj.axis, index, anchor.mask, anchor.scores, prompted=True)
    state.store.put(step, obj, "anchors", index, anchor)
    state.store.put(step, obj, "results", index, result)
    return result


def _is_helper(prompt: Prompt, axis: int) -> TypeGuard[Box]:
    return isinstance(prompt, Box) and prompt.slice_index(axis) == OTHER_PLANE


def _shown(state: SessionState, obj: ObjectRecord, box: Box) -> SliceResult:
    """The answer to a box on another plane than the object's own: for the eye, since masks lie on its own slices."""
    (axis,) = box.fixed_axes
    index = box.slice_index(axis)
    anchor = state.engine(axis, obj.mix).predict(index, SlicePrompts.of([box], state.volume, axis)[index])
    return SliceResult(obj.object_id, axis, index, anchor.mask, anchor.scores, prompted=True)


def _check_free(obj: ObjectRecord, wanted: list[Prompt]) -> None:
    if obj.finished:
        raise UserInputError(f"Object {obj.object_id} is finished; reopen it before changing it.")
    before, after = _by_slice(obj.prompts, obj.axis), _by_slice(wanted, obj.axis)
    for index in sorted(obj.accepted):
        if before.get(index, []) != after.get(index, []):
            raise UserInputError(f"Slice {index} of object {obj.object_id} is accepted; reopen it to change it.")


def _by_slice(prompts: Iterable[Prompt], axis: int) -> dict[int, list[Prompt]]:
    """Prompts by slice index, slices in the order of their last prompt."""
    sorted_out: dict[int, list[Prompt]] = {}
    for prompt in prompts:
        index = prompt.slice_index(axis)
        if index == OTHER_PLANE:
            continue
        sorted_out[index] = [*sorted_out.pop(index, []), prompt]
    return sorted_out


def _to_correct(obj: ObjectRecord, index: int, before: list[Prompt], after: list[Prompt]) -> Anchor | SliceMask | None:
    """What the new prompts of a slice correct: its last answer, its propagated mask, or nothing.

    A new box starts afresh, and so do prompts that were moved or taken away.
    """
    added = after[len(before) :]
    if after[: len(before)] != before or any(not isinstance(p, Point) for p in added):
        return None
    anchor = obj.anchors.get(index)
    if anchor is not None:
        return anchor
    tracked = obj.results.get(index)
    return tracked.mask if tracked is not None and tracked.mask.n_voxels else None
