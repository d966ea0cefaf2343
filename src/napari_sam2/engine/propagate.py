"""Propagation: from each object's prompted slices outwards, in both directions, through memory.

A *sweep* carries one object from one anchor in one direction. All sweeps of all objects advance side by
side, one slice each, so that a model can answer them in one batch. Slices between two anchors are
reached by two sweeps and reconciled; a sweep that leaves the outermost anchor ends when the object does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores, iou
from napari_sam2.engine.ending import Dip
from napari_sam2.engine.sweeps import GONE, Sweep, plan_sweeps
from napari_sam2.engine.view import OUTSIDE_LOGIT
from napari_sam2.models.base import DecodeRequest, RememberRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from napari_sam2.engine.engine import Anchor, Engine
    from napari_sam2.engine.view import View
    from napari_sam2.models.base import Decoded, SegmentationModel

__all__ = ["propagate"]

MAX_BATCH: Final = 16
"""Sweeps answered in one forward pass."""

_WEAK_LOGIT: Final = OUTSIDE_LOGIT / 2
"""What a pass that does not see the object at all says about every voxel, when passes are reconciled."""


def propagate(
    engine: Engine,
    anchors: Mapping[int, Sequence[Anchor]],
    *,
    slices: range | None = None,
    direction: str = "both",
    should_stop: Callable[[], bool] = lambda: False,
    models: Mapping[int, SegmentationModel] | None = None,
) -> Iterator[SliceResult]:
    """Carry objects from their anchors through the volume.

    Parameters
    ----------
    engine : Engine
        Knows the plane, the model and the features.
    anchors : mapping of int to sequence of Anchor
        The prompted (or accepted) slices of each object.
    slices : range, optional
        Slices that are wanted; all by default. From an anchor outside, the slices between are computed,
        since memory leads through them, but not yielded.
    direction : str
        ``"both"``, ``"forward"`` (rising index) or ``"backward"``.
    should_stop : callable
        Asked before every step; True ends the run, and what was yielded stays valid.
    models : mapping of int to SegmentationModel, optional
        Models of the engine's kind that answer for some objects in its place, see `napari_sam2.engine.fit`.

    Yields
    ------
    SliceResult
        In the order in which slices are reached. Between two anchors a slice comes twice: first with
        ``final=False`` from one side, then reconciled. Where a run is seen to have left the object some slices ago,
        these come again, empty.
    """
    sweeps = [
        sweep
        for object_id, own_anchors in sorted(anchors.items())
        for sweep in plan_sweeps(
            object_id, own_anchors, engine.plane.n_slices, slices, direction, engine.model.max_memories
        )
    ]
    if engine.model.view_policy.dips:
        for sweep in sweeps:
            sweep.dip = None if sweep.bounded else Dip()
    writable = range(engine.plane.n_slices) if slices is None else slices
    first_pass: dict[tuple[int, int], _Pass] = {}
    own = models or {}
    while active := [sweep for sweep in sweeps if not sweep.done]:
        for batch in _batches(active, own):
            if should_stop():
                return
            step = partial(_step, engine, own.get(batch[0].object_id), first_pass)
            results = engine.in_batches(batch, MAX_BATCH, step)
            yield from (result for result in results if result.index in writable)


def _batches(active: Sequence[Sweep], own: Mapping[int, SegmentationModel]) -> Iterator[list[Sweep]]:
    """Sweeps that one model answers together, at most `MAX_BATCH`."""
    by_model: dict[int, list[Sweep]] = {}
    for sweep in active:
        by_model.setdefault(id(own.get(sweep.object_id)), []).append(sweep)
    for sweeps in by_model.values():
        for start in range(0, len(sweeps), MAX_BATCH):
            yield sweeps[start : start + MAX_BATCH]


@dataclass(frozen=True, slots=True)
class _Pass:
    """One side's answer for a slice between two anchors."""

    decoded: Decoded
    view: View
    mask: SliceMask
    distance: int

    def logits(self, engine: Engine) -> Tensor:
        if self.decoded.object_score <= 0:
            return torch.full(engine.plane.shape, _WEAK_LOGIT, device=engine.model.device)
        return self.view.to_slice(self.decoded.logits.to(engine.model.device), engine.plane.shape)


def _step(
    engine: Engine,
    own: SegmentationModel | None,
    first_pass: dict[tuple[int, int], _Pass],
    sweeps: Sequence[Sweep],
) -> list[SliceResult]:
    """Advance every sweep by one slice, answered by a model of their `own` or by the engine's."""

    def model() -> SegmentationModel:
        # Asked anew for every call: reading features may have moved the engine to the CPU.
        return engine.model if own is None else engine.beside(own)

    with torch.inference_mode():
        views = [sweep.next_view(engine) for sweep in sweeps]
        features = engine.features.get([(s.index, v) for s, v in zip(sweeps, views, strict=True)])
        decoded = model().decode(
            [
                DecodeRequest(
                    features=f,
                    memories=engine.memory_refs(s.index, v, s.direction, s.anchors, s.tracked),
                    n_slices=engine.plane.n_slices,
                )
                for s, v, f in zip(sweeps, views, features, strict=True)
            ]
        )
        memories = model().remember(
            [RememberRequest(f, d, prompted=False) for f, d in zip(features, decoded, strict=True)]
        )
        results = []
        for sweep, view, answer, memory in zip(sweeps, views, decoded, memories, strict=True):
            index = sweep.index
            mask = engine.mask_of(answer, view)
            agreement = sweep.accept(mask, memory)
            scores = SliceScores(answer.object_score, answer.predicted_iou, agreement)
            result = SliceResult(sweep.object_id, engine.plane.axis, index, mask, scores, prompted=False)
            if sweep.two_sided:
                this = _Pass(answer, view, mask, abs(index - sweep.start.index))
                other = first_pass.pop((sweep.object_id, index), None)
                if other is None:
                    first_pass[sweep.object_id, index] = this
                    result = _provisional(result)
                else:
                    result = _reconcile(engine, result, this, other)
            results.append(result)
            results += _retracted(engine, sweep, answer.predicted_iou)
    return results


def _retracted(engine: Engine, sweep: Sweep, predicted_iou: float) -> list[SliceResult]:
    """Empty masks for the slices behind a dip, if the sweep has just been seen to have passed one."""
    behind = None if sweep.dip is None else sweep.dip.is_over(predicted_iou)
    if behind is None:
        return []
    sweep.left = True
    empty = SliceMask.of(np.zeros(engine.plane.shape, dtype=bool))
    first = sweep.index - sweep.direction * behind
    return [
        SliceResult(sweep.object_id, engine.plane.axis, index, empty, GONE, prompted=False)
        for index in range(first, sweep.index, sweep.direction)
    ]


def _provisional(result: SliceResult) -> SliceResult:
    return SliceResult(
        result.object_id, result.axis, result.index, result.mask, result.scores, prompted=False, final=False
    )


def _reconcile(engine: Engine, result: SliceResult, this: _Pass, other: _Pass) -> SliceResult:
    """Blend the answers of both sides, the nearer and the surer one counting more."""
    span = this.distance + other.distance
    weights = [
        (span - side.distance) / span * _certainty(side.decoded.object_score) * max(side.decoded.predicted_iou, 0.05)
        for side in (this, other)
    ]
    share = weights[0] / sum(weights)
    blended = share * this.logits(engine) + (1 - share) * other.logits(engine)
    mask = SliceMask.of((blended > 0).cpu().numpy())
    scores = SliceScores(
        object_score=share * this.decoded.object_score + (1 - share) * other.decoded.object_score,
        predicted_iou=share * this.decoded.predicted_iou + (1 - share) * other.decoded.predicted_iou,
        neighbour_iou=result.scores.neighbour_iou,
        direction_iou=iou(this.mask, other.mask),
    )
    return SliceResult(result.object_id, result.axis, result.index, mask, scores, prompted=False)


def _certainty(object_score: float) -> float:
    """How sure a pass is about presence or absence, 0.5 to 1."""
    return 1 / (1 + math.exp(-min(abs(object_score), 30.0)))
