"""Replay: the actions of a journal done again by a model.

And compared with what they gave then.

A journal keeps both what was asked (prompts, propagations, acceptances) and what came out. Asking again, in the same
order, on the same image, with the same models and windows, must give the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.actions import Resumed, Run, UseModel
from napari_sam2.core.checked import NewerError, list_of, text_of, whole_of
from napari_sam2.errors import NapariSam2Error, UserInputError
from napari_sam2.models.base import RevisedModel, viewing_of
from napari_sam2.record.journal import codec_of, restore, take_over
from napari_sam2.record.journal_files import (
    EARLIER,
    EVENTS,
    MOST_RESULTS,
    SNAPSHOT,
    damaged_line,
    journal_lines,
    part_of,
    read_head,
)
from napari_sam2.session.actions import AddChannel
from napari_sam2.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.actions import ActionState
    from napari_sam2.core.history import Part
    from napari_sam2.core.volume import Volume
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.models.base import DescribedModel
    from napari_sam2.record.codec import Codec
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.session import SlideSession

__all__ = ["Replay", "SlideReplay", "needed_channels", "replay", "replay_slide"]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """What came out the second time.

    Attributes
    ----------
    session : Session
        Asked again.
    labels, recorded : (I, J, K) array of int
        The label map now and then.
    axis : int
        The slice axis by which differences are counted.
    differing : dict of int to int
        Slice index -> voxels that differ; empty when both are identical.
    reasons : tuple of str
        What is not as it was then, where anything differs or not.
    """

    session: Session
    labels: NDArray[np.integer]
    recorded: NDArray[np.integer]
    axis: int
    differing: dict[int, int]
    reasons: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every voxel is as it was."""
        return not self.differing


@dataclass(frozen=True, slots=True, eq=False)
class SlideReplay:
    """What came out the second time, on a slide.

    Attributes
    ----------
    session, recorded : SlideSession
        Asked again, and as it was.
    differing : dict of str to float
        Id of an object -> level-0 pixels of area that differ (its whole area if it is in one of both only).
    reasons : tuple of str
        What is not as it was then, where anything differs or not.
    """

    session: SlideSession
    recorded: SlideSession
    differing: dict[str, float]
    reasons: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every outline is as it was."""
        return not self.differing


def replay(
    volume: Volume,
    model: AnyModel,
    folder: Path,
    load: Callable[[Mapping[str, Any]], AnyModel] | None = None,
    channels: ChannelStack | None = None,
) -> Replay:
    """Do the actions of a journal again.

    Parameters
    ----------
    volume : Volume
        The image that the journal belongs to.
    model : AnyModel
        The network or method that answers; another one than then is allowed, and named as a reason.
    folder : Path
        The journal.
    load : callable, optional
        Gives the model that a change of model went to, by what the journal says of it; without it `model` answers
        to the end, and that is named as a reason.
    channels : ChannelStack, optional
        The image with its further channels, where the session has any; see `needed_channels`.

    Raises
    ------
    UserInputError
        If the folder holds no journal, a damaged one, or it belongs to another image.
    EnvironmentLacksError
        If a channel of the session is missing.
    """
    head = read_head(folder)
    model = _as_it_was(model, head["model"])
    then = _empty(volume, model, head, channels)
    restore(then, folder)
    now = _empty(volume, model, head, channels)
    reasons = [*_reasons(head, model), *_do_all(codec_of(now), now.state, folder, load)]
    recorded, labels = then.label_map(), now.label_map()
    differing = _differing(recorded, labels, now.axis)
    return Replay(now, labels, recorded, now.axis, differing, tuple(reasons))


def replay_slide(
    slide: Slide,
    model: AnyModel,
    folder: Path,
    load: Callable[[Mapping[str, Any]], AnyModel] | None = None,
) -> SlideReplay:
    """Do the actions of a slide's journal again; see `replay`.

    Raises
    ------
    UserInputError
        If the folder holds no journal, a damaged one, or it belongs to another slide.
    """
    from napari_sam2.slides.encoding import mix_from_json
    from napari_sam2.slides.session import SlideSession

    head, mpp = read_head(folder), slide.mpp
    model = _as_it_was(model, head["model"])
    then = SlideSession(slide, model)
    restore(then, folder)
    slide.mpp = mpp
    plane = head.get("plane", {})
    slide.show_plane({text_of(axis): whole_of(n, 0, 1 << 30, "a plane") for axis, n in plane.items()})
    now = SlideSession(slide, model)
    codec = codec_of(now)
    codec.use_head(head, now.state)
    mix = mix_from_json(head.get("channels"))
    if mix is not None and mix.named_as(slide.mix) != slide.mix:
        now.state.show_channels(mix)
    reasons = [*_reasons(head, model), *_do_all(codec, now.state, folder, load)]
    return SlideReplay(now, then, _differing_outlines(then, now), tuple(reasons))


def needed_channels(folder: Path) -> list[Mapping[str, Any]]:
    """What a journal says of its further channels, in order.

    See `napari_sam2.channels.facts.described_channel`.
    """
    found: list[Mapping[str, Any]] = list_of(read_head(folder).get("channels", []), what="channels")
    for number, line in journal_lines(folder):
        if line["event"] == SNAPSHOT and number == 1:
            found = list_of(line["settings"].get("channels", []), what="channels")
        # A head that was written with the first action holds a channel that came with it.
        elif line["event"] == AddChannel.name and line["channel"] not in found:
            found = [*found, line["channel"]]
    return found


def _empty(volume: Volume, model: AnyModel, head: Mapping[str, Any], channels: ChannelStack | None) -> Session:
    session = Session(volume, model, channels=channels)
    codec = codec_of(session)
    codec.check_head(head)
    codec.use_head(head, session.state)
    return session


def _do_all(
    codec: Codec,
    state: ActionState[Any],
    folder: Path,
    load: Callable[[Mapping[str, Any]], AnyModel] | None,
) -> Iterator[str]:
    """Do every action again; reasons for which the result may differ."""
    as_recorded = 0
    open_runs: dict[int, _OpenRun] = {}
    for name, number, line in _all_lines(folder):
        with damaged_line(folder, number, name):
            kind = codec.action_of(line["event"], line)
            if kind is None:
                raise NewerError(f"it holds the action {line['event'][:40]!r}")
            if kind.name == "as recorded":
                take_over(codec, state, line)
                as_recorded += 1
                continue
            action: Any = kind.from_json(line, state)
            part, stop = part_of(line), _stop_of(line)
        if isinstance(action, Resumed):
            # Their process was killed.
            _close(open_runs)
        if isinstance(action, Run) and part is not None:
            _go_on(state, open_runs, action, part, stop)
        elif isinstance(action, UseModel):
            reason = _change_model(state, action, load)
            if reason:
                yield reason
        elif isinstance(action, Run):
            _run_again(state, action, line, stop)
        else:
            state.do(action)
    _close(open_runs)
    if as_recorded:
        many = "" if as_recorded == 1 else "s"
        yield f"{as_recorded} answer{many} of version 0.1.0 could not be asked again and stand as recorded"


def _all_lines(folder: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Every action of a session, also those that a snapshot stands for: file, number, line."""
    for number, line in journal_lines(folder):
        if line["event"] != SNAPSHOT or number != 1:
            yield EVENTS, number, line
            continue
        missing = line["actions"]
        for earlier, old in journal_lines(folder, EARLIER):
            if not missing:
                break
            missing -= 1
            yield EARLIER, earlier, old
        if missing:
            raise UserInputError(f"{folder.name}/{EARLIER} lacks {missing} actions; the session cannot be replayed.")


def _change_model(
    state: ActionState[Any], action: UseModel, load: Callable[[Mapping[str, Any]], AnyModel] | None
) -> str:
    """Let another model answer, as it was then; a sentence when it cannot."""
    name = action.described["name"]
    if load is None:
        state.do(UseModel(action.described))
        return f"the model was changed to {name} during the session, which was not done again"
    try:
        model = _as_it_was(load(action.described), action.described)
    except NapariSam2Error as error:
        state.do(UseModel(action.described))
        return f"the model was changed to {name} during the session, which cannot be loaded: {error}"
    state.do(UseModel(action.described, model))
    was = (action.described.get("revision", model.card.revision), action.described.get("sha256", model.card.sha256))
    if was != (model.card.revision, model.card.sha256):
        return f"the model {name}, which was changed to during the session, is another version of it"
    return ""


def _as_it_was(model: AnyModel, described: Mapping[str, Any]) -> AnyModel:
    """A model at the revision that a journal states.

    Itself with other weights, or where it does not know earlier revisions.
    """
    if isinstance(model, RevisedModel) and described.get("sha256") == model.card.sha256:
        return model.at_revision(described.get("revision", ""))
    return model


def _run_again(state: ActionState[Any], action: Run, line: Mapping[str, Any], stop: int | None) -> None:
    """Go through a run; one that was stopped then ends where it ended."""
    left = {(c["object"], c.get("slice")) for c in line.get("changes", ()) if c["field"] == "results"}
    run = state.run(action)
    for number, result in enumerate(run, start=1):
        left.discard((result.object_id, result.index))
        # Version 0.1.0 did not say how many results there were.
        if line.get("stopped") and (not left if stop is None else number == stop):
            break
    close = getattr(run, "close", None)
    if close is not None:
        close()


class _OpenRun:
    """A run that is gone through in parts."""

    def __init__(self, results: Iterator[Any]) -> None:
        self._results = results
        self._n_given = 0

    def go_to(self, n_results: int | None) -> None:
        """Go on until there are so many results; to the end without a number."""
        while n_results is None or self._n_given < n_results:
            try:
                next(self._results)
            except StopIteration:
                return
            self._n_given += 1

    def close(self) -> None:
        """End here."""
        self._results.close()  # type: ignore[attr-defined]


def _go_on(state: ActionState[Any], runs: dict[int, _OpenRun], action: Run, part: Part, stop: int | None) -> None:
    """Go through the next part of a run that other actions came into."""
    if part.run not in runs:
        runs[part.run] = _OpenRun(state.run(action))
    if part.paused is not None:
        runs[part.run].go_to(part.paused)
        return
    run = runs.pop(part.run)
    run.go_to(stop)
    run.close()


def _stop_of(line: Mapping[str, Any]) -> int | None:
    """After how many results a run was stopped, if it was and the line says so."""
    stopped = line.get("stopped") and "results" in line
    return whole_of(line["results"], 0, MOST_RESULTS, "the number of results") if stopped else None


def _close(runs: dict[int, _OpenRun]) -> None:
    while runs:
        runs.pop(next(iter(runs))).close()


def _differing_outlines(then: SlideSession, now: SlideSession) -> dict[str, float]:
    before, after = ({obj.object_id: obj for obj in session.objects} for session in (then, now))
    differing = {}
    for object_id in before.keys() | after.keys():
        one, two = before.get(object_id), after.get(object_id)
        if one is None or two is None:
            differing[object_id] = float((one or two).geometry.area)  # type: ignore[union-attr]
        elif one.geometry.wkb != two.geometry.wkb and not one.geometry.equals(two.geometry):
            differing[object_id] = float(one.geometry.symmetric_difference(two.geometry).area)
    return differing


def _differing(first: NDArray[np.integer], second: NDArray[np.integer], axis: int) -> dict[int, int]:
    others = tuple(a for a in range(3) if a != axis)
    counts = (first != second).sum(axis=others)
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}


def _reasons(head: Mapping[str, Any], model: DescribedModel) -> Iterator[str]:
    was = {"name": "", "revision": "", "sha256": "", **head["model"]}
    if (was["name"], was["revision"], was["sha256"]) != (model.card.name, model.card.revision, model.card.sha256):
        same = was["sha256"] == model.card.sha256
        before, after = (f"{n} ({r if same else (h or r)[:12]})" for n, h, r in (
            (was["name"], was["sha256"], was["revision"]),
            (model.card.name, model.card.sha256, model.card.revision),
        ))  # fmt: skip
        yield f"the model was {before} and is {after}"
    for what, value in viewing_of(model).items():
        if was.get(what, value) != value:
            yield f"the model's {what.replace('_', ' ')} was {was[what]} and is {value}"
    if head.get("device", str(model.device)) != str(model.device):
        yield f"the device was {head['device']} and is {model.device}"
    from napari_sam2.io.sidecar import software_versions

    now = software_versions()
    changed = [f"{k} {v} -> {now.get(k)}" for k, v in head.get("software", {}).items() if now.get(k) != v]
    if changed:
        yield f"software differs: {', '.join(changed)}"
