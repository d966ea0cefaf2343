"""The tri-planar check.

An object carried along all three axes, where they agree, and what most of them say.

The object's own axis is taken as it is. The other two start from what it holds: on each of them the three slices
that part the object into quarters are prompted with the object's own section, as a mask. From there each axis is
on its own. What was measured of this choice, and of the check as a whole, is in docs/review.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.prompts import MaskPrompt, SlicePrompts
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.errors import UserInputError
from napari_sam2.measures.metrics import dice
from napari_sam2.session.prompting import anchors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.history import Step
    from napari_sam2.core.volume import Volume
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.session import Session
    from napari_sam2.session.state import SessionState

__all__ = [
    "TriplanarCheck",
    "Visited",
    "accept_consensus",
    "check_object",
    "check_steps",
    "steps_of_check",
    "take_consensus",
]

QUANTILES: Final = (0.25, 0.5, 0.75)
"""Where the prompted slices of another axis lie, in shares of the object's voxels."""

MAJORITY: Final = 2


@dataclass(frozen=True, slots=True)
class Visited:
    """A slice that a check has passed.

    Attributes
    ----------
    axis, index : int
        Which.
    """

    axis: int
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class TriplanarCheck:
    """What three axes say of an object.

    Attributes
    ----------
    object_id : int
        The object.
    axis : int
        Its own slice axis.
    masks : mapping of int to SliceMask
        The object as it was checked, by slice across `axis`.
    votes : (I, J, K) array of uint8
        How many of the three axes hold the voxel; 3 or 0 on slices that a person prompted or accepted.
    consensus : mapping of int to SliceMask
        What at least two axes hold, by slice across `axis`.
    dice : mapping of (int, int) to float
        Dice between the masks of two axes.
    """

    object_id: int
    axis: int
    masks: Mapping[int, SliceMask]
    votes: NDArray[np.uint8]
    consensus: Mapping[int, SliceMask]
    dice: Mapping[tuple[int, int], float]

    def agreement(self) -> dict[int, float]:
        """Agreement by slice across the object's axis.

        The voxels that all axes hold, over those that any holds (0 to 1).
        """
        others = tuple(a for a in range(3) if a != self.axis)
        held, agreed = (self.votes > 0).sum(axis=others), (self.votes == len(others) + 1).sum(axis=others)
        return {int(i): float(agreed[i] / held[i]) for i in np.flatnonzero(held)}


def check_object(session: Session, object_id: int) -> TriplanarCheck:
    """Check an object along all three axes; the session is unchanged.

    Raises
    ------
    UserInputError
        If there is no such object, it holds no mask, or the volume is a single slice.
    """
    *_, last = check_steps(session, object_id)
    if not isinstance(last, TriplanarCheck):
        raise TypeError("A check that nobody stops ends with its result.")
    return last


def check_steps(
    session: Session, object_id: int, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Visited | TriplanarCheck]:
    """The same, slice by slice.

    The last piece is the `TriplanarCheck`, unless it was stopped.

    An object that was not propagated yet is carried along its own axis first, for the check only.
    """
    return steps_of_check(session.state, object_id, should_stop)


def accept_consensus(session: Session, check: TriplanarCheck) -> int:
    """Replace an object's masks by the consensus.

    As one action; returns how many slices have changed.

    Slices that a person prompted or accepted stay. The scores of the others say how far the axes agree.

    Raises
    ------
    UserInputError
        If the object is finished, or is not what was checked any more; the session is unchanged.
    """
    from napari_sam2.session.actions import TakeConsensus

    changed: int = session.state.do(TakeConsensus(check.object_id, check))
    return changed


def steps_of_check(
    state: SessionState, object_id: int, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Visited | TriplanarCheck]:
    """See `check_steps`."""
    obj = state.store.objects.get(object_id)
    if obj is None or not any(result.mask.n_voxels for result in obj.results.values()):
        raise UserInputError(f"Object {object_id} holds no mask yet: prompt it before it is checked.")
    if min(state.volume.shape) < MAJORITY:
        raise UserInputError("A single slice has no other planes to be checked along.")
    masks = {index: result.mask for index, result in obj.results.items()}
    fixed = {index for index in masks if obj.is_fixed(index)}
    own = dict(masks)
    if all(result.prompted for result in obj.results.values()):
        anchors = {object_id: anchors_of(state, obj)}
        for result in state.engine(obj.axis, obj.mix).propagate(anchors, should_stop=should_stop):
            own[result.index] = result.mask
            yield Visited(obj.axis, result.index)
    along = {obj.axis: _volume_of(state.volume, obj.axis, own)}
    for axis in (a for a in range(3) if a != obj.axis):
        masks_there: dict[int, SliceMask] = {}
        for result in _along(state, obj, axis, along[obj.axis], should_stop):
            masks_there[result.index] = result.mask
            yield Visited(axis, result.index)
        along[axis] = _volume_of(state.volume, axis, masks_there)
    if not should_stop():
        yield _compare(state.volume, obj, masks, fixed, along)


def take_consensus(state: SessionState, step: Step, check: TriplanarCheck) -> int:
    """See `accept_consensus`."""
    obj = state.store.objects.get(check.object_id)
    if obj is None or obj.axis != check.axis or not _same(obj, check.masks):
        raise UserInputError(f"Object {check.object_id} has changed since it was checked; check it again.")
    if obj.finished:
        raise UserInputError(f"Object {check.object_id} is finished; reopen it before changing it.")
    agreement, empty = check.agreement(), SliceMask.of(np.zeros((1, 1), dtype=bool))
    for index in sorted(check.masks.keys() | check.consensus.keys()):
        mask = check.consensus.get(index, empty)
        earlier = obj.results.get(index)
        if obj.is_fixed(index) or (earlier is not None and earlier.mask.same_as(mask)):
            continue
        present = 0.0 if earlier is None else earlier.scores.object_score
        scores = SliceScores(present, agreement.get(index, 0.0))
        result = SliceResult(obj.object_id, obj.axis, index, mask, scores, prompted=False)
        state.store.put(step, obj, "results", index, result)
    return len(step)


def _along(
    state: SessionState, obj: ObjectRecord, axis: int, own: NDArray[np.bool_], should_stop: Callable[[], bool]
) -> Iterator[SliceResult]:
    """Carry the object along another axis, from its own sections on the slices that quarter it."""
    engine = state.engine(axis, obj.mix)
    areas = own.sum(axis=tuple(a for a in range(3) if a != axis))
    filled = np.cumsum(areas) / areas.sum()
    indices = sorted({int(np.searchsorted(filled, share)) for share in QUANTILES})
    sections = [MaskPrompt(np.take(own, index, axis), axis, index) for index in indices]
    prompted = SlicePrompts.of(sections, state.volume, axis)
    anchors = [engine.predict(index, prompts) for index, prompts in prompted.items()]
    for anchor in anchors:
        yield SliceResult(0, axis, anchor.index, anchor.mask, anchor.scores, prompted=True)
    yield from engine.propagate({0: anchors}, should_stop=should_stop)


def _compare(
    volume: Volume,
    obj: ObjectRecord,
    masks: Mapping[int, SliceMask],
    fixed: set[int],
    along: Mapping[int, NDArray[np.bool_]],
) -> TriplanarCheck:
    votes = np.zeros(volume.shape, dtype=np.uint8)
    for mask in along.values():
        votes += mask
    plane = volume.plane(obj.axis)
    for index in fixed:
        plane.take(votes, index)[...] = len(along) * masks[index].full(plane.shape)
    agreed = votes >= MAJORITY
    held = np.flatnonzero(agreed.any(axis=tuple(a for a in range(3) if a != obj.axis)))
    return TriplanarCheck(
        object_id=obj.object_id,
        axis=obj.axis,
        masks=masks,
        votes=votes,
        consensus={int(index): SliceMask.of(plane.take(agreed, int(index))) for index in held},
        dice={(a, b): dice(along[a], along[b]) for a, b in combinations(sorted(along), 2)},
    )


def _same(obj: ObjectRecord, masks: Mapping[int, SliceMask]) -> bool:
    now = obj.results
    return now.keys() == masks.keys() and all(now[index].mask.same_as(mask) for index, mask in masks.items())


def _volume_of(volume: Volume, axis: int, masks: Mapping[int, SliceMask]) -> NDArray[np.bool_]:
    """Masks of slices across `axis` as one (I, J, K) array."""
    plane, whole = volume.plane(axis), np.zeros(volume.shape, dtype=bool)
    for index, mask in masks.items():
        plane.take(whole, index)[...] = mask.full(plane.shape)
    return whole
