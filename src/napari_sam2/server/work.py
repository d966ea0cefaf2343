"""What is done at the model's thread: clicks, runs and fits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari_sam2.engine.fit import learn
from napari_sam2.engine.fit_plan import ObjectFits, fit_name, lessons_of
from napari_sam2.remote.wire import frame, mask_to_wire, packed, result_to_wire, scores_to_wire
from napari_sam2.server.held import Fitted
from napari_sam2.server.refusals import lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.engine import Anchor
    from napari_sam2.engine.fit_plan import FitPlan
    from napari_sam2.engine.verbs import Answered
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.server.held import HeldEngine, Lease
    from napari_sam2.server.reading import FitRequest, PredictRequest, RunRequest

__all__ = ["fit_frames", "predict", "run_frames"]


def predict(lease: Lease, held: HeldEngine, request: PredictRequest, waited: float, step: float) -> bytes:
    """Answer a click; the anchor stays here, mask and scores go.

    With them go the seconds that it `waited`, those of the `step` of a run before it, and those that it `took`.
    """
    previous, others = request.previous, lease.anchors_of(request.others)
    corrected = lease.anchors_of([previous])[0] if isinstance(previous, int) else previous
    started = time.perf_counter()
    anchor = held.engine.predict(request.index, request.prompts, previous=corrected, others=others)
    took = time.perf_counter() - started
    lease.anchors.put(request.key, anchor)
    blobs: list[bytes] = []
    header = {"mask": mask_to_wire(anchor.mask, blobs), "scores": scores_to_wire(anchor.scores)}
    return packed({**header, "waited": waited, "step": step, "took": took}, blobs)


def run_frames(lease: Lease, held: HeldEngine, request: RunRequest, should_stop: Callable[[], bool]) -> Iterator[bytes]:
    """The frames of a run; empty ones for results already known.

    Raises
    ------
    Refusal
        With the first frame, naming anchors and fits that are not known.
    """
    missing = [name for name in request.known.values() if name not in held.fits]
    if missing:
        raise lacking("fit", missing)
    anchors = {object_id: lease.anchors_of(keys) for object_id, keys in request.objects.items()}
    known = {object_id: held.fits[name] for object_id, name in request.known.items()}
    fits = _RunFits(held, request.plan)
    for number, result in enumerate(_results(held, request, anchors, known, fits, should_stop)):
        yield from fits.news()
        yield b"" if number < request.skip else frame(result_to_wire(result))
    yield from fits.news()
    yield frame(packed({"kind": "end"}))


def _results(
    held: HeldEngine,
    request: RunRequest,
    anchors: Mapping[int, Sequence[Anchor]],
    known: Mapping[int, Fitted],
    fits: _RunFits,
    should_stop: Callable[[], bool],
) -> Iterator[SliceResult]:
    engine, slices, direction = held.engine, request.slices, request.direction
    if request.plan is None:
        models = {object_id: fitted.model for object_id, fitted in known.items()}
        return engine.propagate(anchors, slices=slices, direction=direction, should_stop=should_stop, models=models)
    for object_id, fitted in known.items():
        ObjectFits.keep(fits, engine.plane.axis, object_id, fitted.lessons, fitted.model)
    return engine.propagate_fitted(
        anchors, fits, request.plan, slices=slices, direction=direction, should_stop=should_stop
    )


class _RunFits(ObjectFits["SegmentationModel"]):
    """The fits of a run; new ones are kept for the next run too, and told to the client."""

    def __init__(self, held: HeldEngine, plan: FitPlan | None) -> None:
        super().__init__()
        self._held, self._plan = held, plan
        self._news: list[int] = []

    def keep(self, axis: int, object_id: int, anchors: Sequence[Answered], model: SegmentationModel) -> None:
        """Take in a fitted model."""
        super().keep(axis, object_id, anchors, model)
        if self._plan is not None:
            lessons = lessons_of(anchors)
            self._held.fits.put(fit_name(lessons, self._plan), Fitted(model, lessons))
            self._news.append(object_id)

    def news(self) -> Iterator[bytes]:
        """A frame for every new fit."""
        while self._news:
            yield frame(packed({"kind": "fitted", "object": self._news.pop(0)}))


def fit_frames(held: HeldEngine, request: FitRequest) -> Iterator[bytes]:
    """Make a fit again; empty frames while it learns."""
    learning = learn(held.engine, request.lessons, request.plan)
    while True:
        try:
            next(learning)
        except StopIteration as done:
            held.fits.put(fit_name(request.lessons, request.plan), Fitted(done.value, request.lessons))
            break
        yield b""
    yield frame(packed({"kind": "end"}))
