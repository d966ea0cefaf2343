"""The folder of a journal: a head, and a file that grows by one line per action.

``session.json`` says what was segmented and by whom; ``events.jsonl`` holds one line per action with a UTC
time, on the disk before the next action begins. What the lines mean is for `napari_sam2.record.journal` (volumes)
and `napari_sam2.record.slide_journal` (slides) to say. While a process writes, ``owner.pid`` names it.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["HEAD", "JournalFolder", "JournalNote", "is_owned", "journal_lines", "look_at"]

HEAD, EVENTS, OWNER = "session.json", "events.jsonl", "owner.pid"

_SEPARATORS: Final = (",", ":")


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


class JournalFolder:
    """Writes one journal.

    Parameters
    ----------
    folder : Path
        Made when the first line is written. One that exists and is not `resumed` is kept beside it.
    head : callable
        Gives the content of ``session.json``; asked once, at the first line.
    resumed : bool
        Go on with the folder as it is.

    Attributes
    ----------
    folder : Path
        Where it is written: another name when a living process writes to the one that was asked for.
    """

    def __init__(self, folder: Path, head: Callable[[], dict[str, Any]], *, resumed: bool = False) -> None:
        self.folder = folder
        self._head = head
        self._begun = False
        self._resumed = resumed

    def write(self, event: str, **details: Any) -> None:
        """Append one line, and wait until it is on the disk."""
        if not self._begun:
            self._begin()
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = (
            "{"
            + ",".join(f'"{key}":{_text(value)}' for key, value in {"t": now, "event": event, **details}.items())
            + "}"
        )
        with (self.folder / EVENTS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Stop owning the folder; the journal stays."""
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

    def _begin(self) -> None:
        if is_owned(self.folder):
            # Another window has the same image open: both write, neither into the other's journal.
            self.folder = self.folder.with_name(f"{self.folder.name}-{os.getpid()}-{id(self):x}")
            self._resumed = False
        if self._resumed:
            _cut_torn_line(self.folder / EVENTS)
        else:
            _keep_aside(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / HEAD).write_text(json.dumps(self._head(), indent=1), encoding="utf-8")
        (self.folder / OWNER).write_text(str(os.getpid()), encoding="ascii")
        self._begun = True


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


def look_at(folder: Path) -> JournalNote | None:
    """What a journal holds; None when there is nothing in it, or another process writes it now."""
    if not (folder / HEAD).is_file() or is_owned(folder):
        return None
    lines = journal_lines(folder)
    if not lines:
        return None
    last = datetime.fromisoformat(lines[-1]["t"])
    return JournalNote(folder, len(lines), _count_objects(lines), last)


def is_owned(folder: Path) -> bool:
    """Whether a living process writes this journal."""
    try:
        pid = int((folder / OWNER).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    if pid == os.getpid():
        return True
    import psutil

    return bool(psutil.pid_exists(pid))


def _text(value: Any) -> str:
    # One entry at a time: the encoder does not let go of the interpreter, and a window may be waiting for it.
    if isinstance(value, list):
        return "[" + ",".join(json.dumps(entry, separators=_SEPARATORS) for entry in value) + "]"
    return json.dumps(value, separators=_SEPARATORS)


def _count_objects(lines: list[dict[str, Any]]) -> int:
    """Objects at the end, undo and redo followed."""
    states: list[frozenset[Any]] = [frozenset()]
    now = 0
    for line in lines:
        if line["event"] == "undo":
            now = max(0, now - 1)
        elif line["event"] == "redo":
            now = min(len(states) - 1, now + 1)
        elif "changes" in line:
            objects = set(states[now])
            for change in line["changes"]:
                if change["field"] == "object":
                    (objects.discard if change.get("gone") else objects.add)(change["object"])
            if line.get("joined"):
                states[now] = frozenset(objects)
            else:
                states[now + 1 :] = [frozenset(objects)]
                now += 1
    return len(states[now])


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
