"""The journal of a session: every action, appended to a file before the next one begins.

A folder holds ``session.json`` (what was segmented, with which model and window) and ``events.jsonl``
(one line per action: prompts, masks, names, acceptances, undo and redo, each with a UTC time). A line is
on the disk when its action is finished, so that a crash loses at most the action in flight. Reading the
lines again rebuilds the session exactly, without the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2 import __version__
from napari_sam2.errors import UserInputError
from napari_sam2.history import Step
from napari_sam2.io.sidecar import INTENDED_USE, software_versions
from napari_sam2.journal_codec import change_from_json, change_to_json
from napari_sam2.models.base import viewing_of
from napari_sam2.window import Window

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.session import Session
    from napari_sam2.volume import Volume

__all__ = ["HEAD", "Journal", "JournalNote", "apply_changes", "journal_lines", "look_at", "restore", "volume_key"]

VERSION: Final = 1
HEAD, EVENTS, OWNER = "session.json", "events.jsonl", "owner.pid"


@dataclass(frozen=True, slots=True)
class JournalNote:
    """What a journal holds, for the question whether to go on with it.

    Attributes
    ----------
    folder : Path
        The journal.
    n_actions : int
        Lines in it.
    n_objects : int
        Objects when it ended.
    last : datetime
        Time of the last action.
    """

    folder: Path
    n_actions: int
    n_objects: int
    last: datetime


class Journal:
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
        self.folder = folder
        self._session = session
        self._begun = False
        self._resumed = resumed
        session.on_step.append(self._on_step)
        session.on_event.append(self.write)

    def write(self, event: str, **details: Any) -> None:
        """Append one line, and wait until it is on the disk."""
        if not self._begun:
            self._begin()
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"t": now, "event": event, **details}, separators=(",", ":"))
        with (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Stop writing."""
        self._session.on_step.remove(self._on_step)
        self._session.on_event.remove(self.write)
        if self._begun:
            (self.folder / OWNER).unlink(missing_ok=True)

    def copy_to(self, folder: Path) -> None:
        """Put a copy of what is written so far beside a result; an older copy is replaced."""
        if not self._begun:
            return
        fresh = folder.with_name(folder.name + ".part")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self.folder, fresh, ignore=shutil.ignore_patterns(OWNER))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)

    def _on_step(self, step: Step) -> None:
        self.write(step.label, changes=[change_to_json(change) for change in step], **step.details)

    def _begin(self) -> None:
        if _is_owned(self.folder):
            # Another window has the same scan open: both write, neither into the other's journal.
            self.folder = self.folder.with_name(f"{self.folder.name}-{os.getpid()}-{id(self):x}")
            self._resumed = False
        if self._resumed:
            _cut_torn_line(self.folder / EVENTS)
        else:
            _keep_aside(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            head = json.dumps(_head(self._session), indent=1)
            (self.folder / HEAD).write_text(head, encoding="utf-8")
        (self.folder / OWNER).write_text(str(os.getpid()), encoding="ascii")
        self._begun = True


def look_at(folder: Path) -> JournalNote | None:
    """What a journal holds; None when there is nothing in it, or another process writes it now."""
    if not (folder / HEAD).is_file() or _is_owned(folder):
        return None
    lines = journal_lines(folder)
    if not lines:
        return None
    begun: dict[int, bool] = {}
    for line in lines:
        for change in line.get("changes", ()):
            if change["field"] == "object":
                begun[change["object"]] = not change.get("gone", False)
    last = datetime.fromisoformat(lines[-1]["t"])
    return JournalNote(folder, len(lines), sum(begun.values()), last)


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


def journal_lines(folder: Path) -> list[dict[str, Any]]:
    """All whole lines; the last one may be torn when the process was killed while writing it."""
    path = folder / EVENTS
    if not path.is_file():
        return []
    found = []
    for raw in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(json.loads(raw))
        except ValueError:
            break
    return found


def _cut_torn_line(path: Path) -> None:
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def _keep_aside(folder: Path) -> None:
    """An earlier journal that nobody went on with is kept once, under another name."""
    if folder.is_dir():
        aside = folder.with_name(folder.name + ".old")
        shutil.rmtree(aside, ignore_errors=True)
        folder.replace(aside)


def _is_owned(folder: Path) -> bool:
    """Whether another living process writes this journal."""
    try:
        pid = int((folder / OWNER).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    if pid == os.getpid():
        return True
    import psutil

    return bool(psutil.pid_exists(pid))
