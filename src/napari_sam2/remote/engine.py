"""An engine on another machine, with the verbs of `Engine`.

Prompts go, cropped masks with their scores come. What the server says it lacks (the volume, this engine, an anchor, a
fit) is sent again, unasked; see `napari_sam2.remote.recipes`.
"""

from __future__ import annotations

import json
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari_sam2.core.checked import whole_of
from napari_sam2.core.volume import closest_axes
from napari_sam2.engine.fit_plan import fit_name, lessons_of
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.remote.answers import Refused, ServerGone
from napari_sam2.remote.connection import wait_a_little
from napari_sam2.remote.recipes import FitRecipe, Lesson, Recipe, RemoteAnchor, in_order
from napari_sam2.remote.wire import (
    header_from_json,
    mask_from_wire,
    mask_to_wire,
    packed,
    prompts_to_wire,
    result_from_wire,
    scores_from_wire,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.slice_masks import SliceMask, SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.engine.fit_plan import FitPlan, ObjectFits
    from napari_sam2.remote.lease import Lease
    from napari_sam2.remote.upload import SentVolume
    from napari_sam2.remote.wire import Message

__all__ = ["RemoteEngine"]

T = TypeVar("T")

MOST_REPAIRS: Final = 24
"""In a row, without an answer between them, before nothing is sent again any more."""

CLICK_PATIENCE: Final = 60.0
"""Seconds that a click waits for a server that is away; a run waits as long as the lease does."""


class RemoteEngine:
    """Lets a server answer prompts on slices of one plane.

    Parameters
    ----------
    lease : Lease
        The place on the server.
    model : dict
        Name and SHA-256 of the model there.
    can_fit : bool
        Whether the model can be fitted to one object.
    volume : Volume
        The scan.
    sent : SentVolume
        How it is sent.
    window : Window
        How intensities become [0, 1].
    axis : int
        The slice axis.
    """

    def __init__(
        self,
        lease: Lease,
        model: dict[str, str],
        can_fit: bool,
        volume: Volume,
        sent: SentVolume,
        window: Window,
        axis: int,
    ) -> None:
        self.plane = volume.plane(axis)
        self.can_fit = can_fit
        self._lease = lease
        self._sent = sent
        self._id: str | None = None
        self._described = {
            "lease": lease.id,
            "volume": sent.key,
            "spacing": list(volume.spacing),
            "orientation": _orientation(volume),
            "axis": axis,
            "window": [window.low, window.high],
            "model": model,
        }
        self._fit_recipes: dict[str, FitRecipe] = {}

    def predict(
        self,
        index: int,
        prompts: SlicePrompts,
        *,
        previous: RemoteAnchor | SliceMask | None = None,
        others: Sequence[RemoteAnchor] = (),
    ) -> RemoteAnchor:
        """See `napari_sam2.engine.engine.Engine.predict`."""
        corrected = previous.recipe if isinstance(previous, RemoteAnchor) else previous
        key = self._lease.new_key()
        recipe = Recipe(key, self, index, prompts, corrected, tuple(anchor.recipe for anchor in others))
        self._lease.recipes[key] = recipe
        answer = self._predict(recipe)
        mask = mask_from_wire(answer.header.get("mask"), answer.blobs, self.plane.shape)
        anchor = RemoteAnchor(index, mask, scores_from_wire(answer.header.get("scores")), recipe)
        weakref.finalize(anchor, self._lease.forget, key).atexit = False
        return anchor

    def _predict(self, recipe: Recipe) -> Message:
        blobs: list[bytes] = []
        header: dict[str, Any] = {
            "key": recipe.key,
            "index": recipe.index,
            "prompts": prompts_to_wire(recipe.prompts, blobs),
            "previous": None,
            "others": [other.key for other in recipe.others],
        }
        if isinstance(recipe.previous, Recipe):
            header["previous"] = {"anchor": recipe.previous.key}
        elif recipe.previous is not None:
            header["previous"] = {"mask": mask_to_wire(recipe.previous, blobs)}
        body = packed(header, blobs)

        def ask() -> bytes:
            return self._lease.connection.ask("POST", self._path("predict"), body)

        return unpacked(self._repaired(lambda: self._lease.patiently(ask, patience=self._click_patience)), finite=False)

    @property
    def _click_patience(self) -> float:
        return min(CLICK_PATIENCE, self._lease.patience)

    def propagate(
        self,
        anchors: Mapping[int, Sequence[RemoteAnchor]],
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
        models: Mapping[int, FitRecipe] | None = None,
    ) -> Iterator[SliceResult]:
        """See `napari_sam2.engine.propagate.propagate`."""
        return self._run(anchors, slices, direction, should_stop, models or {}, None, None)

    def propagate_fitted(
        self,
        anchors: Mapping[int, Sequence[RemoteAnchor]],
        fits: ObjectFits[FitRecipe],
        plan: FitPlan,
        *,
        slices: range | None = None,
        direction: str = "both",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[SliceResult]:
        """See `napari_sam2.engine.fit.propagate_fitted`."""
        known = {object_id: fits.known(self.plane.axis, object_id) for object_id in anchors}
        models = {object_id: recipe for object_id, recipe in known.items() if recipe is not None}
        return self._run(anchors, slices, direction, should_stop, models, fits, plan)

    def _run(
        self,
        anchors: Mapping[int, Sequence[RemoteAnchor]],
        slices: range | None,
        direction: str,
        should_stop: Callable[[], bool],
        models: Mapping[int, FitRecipe],
        fits: ObjectFits[FitRecipe] | None,
        plan: FitPlan | None,
    ) -> Iterator[SliceResult]:
        """The results of a run, each once, however often the server has to begin it again."""
        for recipe in models.values():
            self._fit_recipes[recipe.name] = recipe
        header: dict[str, Any] = {
            "objects": [[object_id, [a.recipe.key for a in found]] for object_id, found in anchors.items()],
            "slices": None if slices is None else [slices.start, slices.stop],
            "direction": direction,
            "known": [[object_id, recipe.name] for object_id, recipe in models.items()],
            "plan": None if plan is None else [plan.steps, plan.seed],
        }
        n_seen, attempt, since, repairs = 0, 0, time.monotonic(), _Repairs(self._lease.patience)
        while not should_stop():
            try:
                if repairs.pending is not None:
                    self._repair(repairs, should_stop)
                path = self._path("propagate")
                for message in self._lease.connection.stream(path, packed({**header, "skip": n_seen}), should_stop):
                    self._lease.was_found()
                    attempt, since, repairs = 0, time.monotonic(), _Repairs(self._lease.patience)
                    kind = message.header.get("kind")
                    if kind == "end":
                        return
                    if kind == "error":
                        raise _refusal_in(message)
                    if kind == "fitted" and fits is not None and plan is not None:
                        self._keep_fit(message, anchors, fits, plan)
                    elif kind == "slice":
                        n_seen += 1
                        yield result_from_wire(message, self.plane.axis, self.plane.n_slices, self.plane.shape)
            except ServerGone as gone:
                self._lease.was_lost(gone)
                if time.monotonic() - since > self._lease.patience:
                    raise self._lease.absence(gone) from gone
                wait_a_little(attempt, should_stop)
                attempt += 1
            except Refused as refused:
                repairs.pending = refused

    def _keep_fit(
        self,
        message: Message,
        anchors: Mapping[int, Sequence[RemoteAnchor]],
        fits: ObjectFits[FitRecipe],
        plan: FitPlan,
    ) -> None:
        object_id = whole_of(message.header.get("object"), 0, 2**31 - 1, "an object")
        if object_id not in anchors:
            raise EnvironmentLacksError(f"{self._lease.connection.name} answers for an object that nobody asked for.")
        lessons = tuple(Lesson(a.index, a.mask, a.scores) for a in lessons_of(anchors[object_id]))
        recipe = FitRecipe(fit_name(lessons, plan), lessons, plan)
        self._fit_recipes[recipe.name] = recipe
        fits.keep(self.plane.axis, object_id, anchors[object_id], recipe)

    def _path(self, verb: str) -> str:
        """Where a verb is asked; the engine is opened where that has not been done yet."""
        if self._id is None:
            body = json.dumps(self._described).encode()
            answer = self._lease.patiently(lambda: self._lease.connection.ask("POST", "/v1/engines", body))
            self._id = str(header_from_json(answer).get("engine", ""))
            self._lease.begin()
        return f"/v1/engines/{self._id}/{verb}"

    def _repaired(self, work: Callable[[], T], should_stop: Callable[[], bool] = lambda: False) -> T:
        """What `work` gives, once the server has been sent what it lacks."""
        repairs = _Repairs(self._lease.patience)
        while True:
            try:
                if repairs.pending is not None:
                    self._repair(repairs, should_stop)
                return work()
            except Refused as refused:
                repairs.pending = refused

    def _repair(self, repairs: _Repairs, should_stop: Callable[[], bool]) -> None:
        """Send what is lacking; what cannot be sent is the person's or the server's to mend."""
        refused = repairs.next(self._lease.connection.name)
        if refused.code == "volume":
            self._sent.send(should_stop)
        elif refused.code == "engine":
            self._id = None
        elif refused.code == "anchor":
            self._make_anchors_again(refused.missing)
        elif refused.code == "fit":
            for name in refused.missing:
                self._fit_again(str(name))
        elif refused.code == "memory":
            self._lease.say(str(refused))
            wait_a_little(repairs.count, should_stop)
        elif refused.code == "input":
            raise UserInputError(str(refused)) from refused
        else:
            raise EnvironmentLacksError(str(refused)) from refused

    def _make_anchors_again(self, keys: Sequence[Any]) -> None:
        lost = [self._lease.recipes[key] for key in keys if key in self._lease.recipes]
        for recipe in in_order(lost):
            recipe.engine._predict(recipe)

    def _fit_again(self, name: str) -> None:
        recipe = self._fit_recipes.get(name)
        if recipe is None:
            raise EnvironmentLacksError(f"{self._lease.connection.name} asks for a fit that nobody knows.")
        blobs: list[bytes] = []
        lessons = [{"index": lesson.index, "mask": mask_to_wire(lesson.mask, blobs)} for lesson in recipe.lessons]
        body = packed({"lessons": lessons, "plan": [recipe.plan.steps, recipe.plan.seed]}, blobs)

        def learn() -> None:
            for message in self._lease.connection.stream(self._path("fit"), body, lambda: False):
                if message.header.get("kind") == "error":
                    raise _refusal_in(message)

        self._repaired(lambda: self._lease.patiently(learn))


class _Repairs:
    """What a server lacks, and how often it has said so without an answer between.

    A server without memory is waited for as long as one that is away; one that forgets faster than it is told has no
    memory to work with.
    """

    def __init__(self, patience: float) -> None:
        self.pending: Refused | None = None
        self.count = 0
        self._until = time.monotonic() + patience

    def next(self, server: str) -> Refused:
        """The refusal to mend now."""
        refused, self.pending = self.pending, None
        if refused is None:
            raise TypeError("there is nothing to mend")
        self.count += 1
        if time.monotonic() > self._until or (self.count > MOST_REPAIRS and refused.code != "memory"):
            raise EnvironmentLacksError(f"The server {server} cannot keep up: {refused} Your work is kept.")
        return refused


def _refusal_in(message: Message) -> Refused:
    header = message.header
    missing = header.get("missing")
    return Refused(
        0, str(header.get("code")), str(header.get("error"))[:1000], missing if isinstance(missing, list) else []
    )


def _orientation(volume: Volume) -> str:
    """Towards which side of the patient i, j and k grow, such as ``RAS``; empty when that is not known."""
    if not volume.oriented:
        return ""
    world, sign = closest_axes(volume.affine)
    return "".join(("LR", "PA", "IS")[axis][direction > 0] for axis, direction in zip(world, sign, strict=True))
