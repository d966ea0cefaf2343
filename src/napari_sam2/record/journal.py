"""The journal of a session: every action, appended to a file before the next one begins.

A folder holds ``session.json`` (what was segmented, with which model and window) and ``events.jsonl``
(one line per action: prompts, masks, names, acceptances, undo and redo, each with a UTC time). A line is
on the disk when its action is finished, so that a crash loses at most the action in flight. Reading the
lines again rebuilds the session exactly, without the model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2._version import __version__
from napari_sam2.core.history import Step
from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.io.sidecar import INTENDED_USE, software_versions
from napari_sam2.models.base import viewing_of
from napari_sam2.record.journal_folder import HEAD, JournalFolder, JournalNote, journal_lines, look_at
from napari_sam2.record.scan_codec import change_from_json, change_to_json

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.core.volume import Volume
    from napari_sam2.session.session import Session

__all__ = ["HEAD", "Journal", "JournalNote", "apply_changes", "journal_lines", "look_at", "restore", "volume_key"]

VERSION: Final = 1


class Journal(JournalFolder):
    """Writes the actions of one session.

    Parameters
    ----------
    session : Session
        Whose actions are written; it must not be changed by anyone else.
    folder : Path
        Made when the first action is written. One that exists and is not `resumed` is kept beside it.
    resumed : bool
        Go on with the folder as it is.
    """

    def __init__(self, session: Session, folder: Path, *, resumed: bool = False) -> None:
        super().__init__(folder, lambda: _head(session), resumed=resumed)
        self._session = session
        session.on_step.append(self._on_step)
        session.on_event.append(self.write)

    def close(self) -> None:
        """Stop writing."""
        self._session.on_step.remove(self._on_step)
        self._session.on_event.remove(self.write)
        super().close()

    def _on_step(self, step: Step) -> None:
        self.write(step.label, changes=[change_to_json(change) for change in step], **step.details)


def restore(session: Session, folder: Path) -> None:
    """Bring an empty session to where a journal ended, without asking the model.

    Raises
    ------
    UserInputError
        If the journal belongs to another image or a newer version.
    """
    head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
    if head.get("version") != VERSION:
        raise UserInputError(f"The journal has version {head.get('version')}; this program reads {VERSION}.")
    if head["source"]["key"] != volume_key(session.volume):
        raise UserInputError("The journal belongs to another image: its voxels or its place differ.")
    session.window = Window(**head["window"])
    session.overlap = head["overlap"]
    for line in journal_lines(folder):
        event = line["event"]
        if event == "undo":
            session.history.undo()
        elif event == "redo":
            session.history.redo()
        elif event == "window":
            session.window = Window(line["low"], line["high"], line["name"])
        elif event == "overlap":
            session.overlap = line["rule"]
        elif "changes" in line:
            session.history.add(apply_changes(session, line))


def volume_key(volume: Volume) -> str:
    """A short name of a volume that says nothing about the patient: voxels, shape and place, hashed."""
    told = hashlib.sha256(repr((volume.shape, np.round(volume.affine, 4).tolist())).encode())
    if volume.source.sha256:
        told.update(volume.source.sha256.encode())
    else:
        told.update(np.ascontiguousarray(volume.voxels).tobytes())
    return told.hexdigest()[:24]


def apply_changes(session: Session, line: dict[str, Any]) -> Step:
    """Put in place what a line of a journal says, without asking the model; the step that it was."""
    step = Step(line["event"], {"joined": True} if line.get("joined") else {})
    for written in line["changes"]:
        before = session.store.read(written["object"], written["field"], written.get("slice"))
        change = change_from_json(written, before)
        session.store.write(change.object_id, change.field, change.index, change.after)
        step.note(change)
    return step


def _head(session: Session) -> dict[str, Any]:
    card = session.model.card
    return {
        "version": VERSION,
        "program": f"napari-sam2 {__version__}",
        "notice": INTENDED_USE,
        "begun": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "source": {
            "key": volume_key(session.volume),
            "sha256": session.volume.source.sha256,
            "shape": list(session.volume.shape),
            "affine": session.volume.affine.tolist(),
        },
        "model": {"name": card.name, "kind": card.kind, "revision": card.revision, "sha256": card.sha256}
        | viewing_of(session.model),
        "device": str(session.model.device),
        "software": software_versions(),
        "window": asdict(session.window),
        "axis": session.axis,
        "overlap": session.overlap,
    }
