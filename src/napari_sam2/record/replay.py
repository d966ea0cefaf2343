"""Replay: the actions of a journal done again by a model, and compared with what they gave then.

A journal keeps both what was asked (prompts, propagations, acceptances) and what came out. Asking again,
in the same order, on the same image, with the same model and window, must give the same label map.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.models.base import viewing_of
from napari_sam2.record.journal import HEAD, apply_changes, journal_lines, restore
from napari_sam2.record.scan_codec import change_from_json
from napari_sam2.session.session import Session
from napari_sam2.session.triplanar import accept_consensus, check_object
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.volume import Volume
    from napari_sam2.models.base import SegmentationModel

__all__ = ["Replay", "read_head", "replay"]


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


def read_head(folder: Path) -> dict[str, Any]:
    """What a journal says of its session: source, model, window.

    Raises
    ------
    UserInputError
        If the folder holds no journal.
    """
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserInputError(f"{folder.name} holds no readable {HEAD}; give the folder of a session.") from error
    if not isinstance(head, dict) or not {"source", "model", "window", "axis", "overlap"} <= head.keys():
        raise UserInputError(f"{folder.name}/{HEAD} is not that of a session.")
    return head


def replay(volume: Volume, model: SegmentationModel, folder: Path) -> Replay:
    """Do the actions of a journal again.

    Parameters
    ----------
    volume : Volume
        The image that the journal belongs to.
    model : SegmentationModel
        Who answers; another one than then is allowed, and named as a reason.
    folder : Path
        The journal.

    Raises
    ------
    UserInputError
        If the folder holds no journal, or it belongs to another image.
    """
    head = read_head(folder)
    then = _empty(volume, model, head)
    restore(then, folder)
    now = _empty(volume, model, head)
    for line in journal_lines(folder):
        _do_again(now, line)
    recorded, labels = then.label_map(), now.label_map()
    differing = _differing(recorded, labels, now.axis)
    return Replay(now, labels, recorded, now.axis, differing, tuple(_reasons(head, model)))


def _empty(volume: Volume, model: SegmentationModel, head: dict[str, Any]) -> Session:
    return Session(volume, model, window=Window(**head["window"]), axis=head["axis"], overlap=head["overlap"])


def _do_again(session: Session, line: dict[str, Any]) -> None:
    event = line["event"]
    slices = None if line.get("range") is None else range(*line["range"])
    if event == "undo":
        session.undo()
    elif event == "redo":
        session.redo()
    elif event == "window":
        session.window = Window(line["low"], line["high"], line["name"])
    elif event == "overlap":
        session.overlap = line["rule"]
    elif event == "prompt":
        for written in line["changes"]:
            if written["field"] == "object" and not written.get("gone"):
                begun = change_from_json(written, None).after
                session.terms = {begun.object_id: Term(begun.name, begun.code, begun.colour)}
            elif written["field"] == "prompts":
                session.set_prompts(written["object"], change_from_json(written, None).after)
    elif event == "propagation":
        _run_again(session.propagate(line["objects"], slices=slices, direction=line["direction"]), line)
    elif event == "consensus":
        accept_consensus(session, check_object(session, line["objects"][0]))
    elif event == "correction":
        _run_again(session.spread(line["objects"][0], line["slice"], slices=slices), line)
    elif "changes" in line:
        # Names, acceptances, finished objects: what a person decided, not what a model answered.
        session.finish(apply_changes(session, line))


def _run_again(run: Iterator[SliceResult], line: dict[str, Any]) -> None:
    """Go through a run; one that was stopped then ends where it ended."""
    left = {(c["object"], c.get("slice")) for c in line["changes"] if c["field"] == "results"}
    for result in run:
        left.discard((result.object_id, result.index))
        if line.get("stopped") and not left:
            break
    close = getattr(run, "close", None)
    if close is not None:
        close()


def _differing(first: NDArray[np.integer], second: NDArray[np.integer], axis: int) -> dict[int, int]:
    others = tuple(a for a in range(3) if a != axis)
    counts = (first != second).sum(axis=others)
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}


def _reasons(head: dict[str, Any], model: SegmentationModel) -> Iterator[str]:
    was = head["model"]
    if (was["name"], was["revision"], was["sha256"]) != (model.card.name, model.card.revision, model.card.sha256):
        before, after = (f"{n} ({(h or r)[:12]})" for n, h, r in (
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
