"""Earlier sessions.

What a folder of journals holds, so that any of them can be opened again.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError
from napari_sam2.record.journal_files import DAMAGE, EVENTS, journal_lines, read_head, time_of
from napari_sam2.record.ownership import is_owned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["JournalNote", "look_at", "sessions_of"]

BLOCK: Final = 1 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JournalNote:
    """What a journal holds, in short.

    For the question whether to go on with it.

    Attributes
    ----------
    folder : Path
        The journal.
    n_actions : int
        Actions in it.
    n_objects : int
        Objects when it ended.
    last : datetime
        Time of the last action.
    begun : datetime, optional
        When the session began.
    key : str
        The image, as a hash: `volume_key`, or ``"slide-"`` and `Slide.key`.
    kind : str
        ``"volume"`` or ``"slide"``.
    """

    folder: Path
    n_actions: int
    n_objects: int
    last: datetime
    begun: datetime | None = None
    key: str = ""
    kind: str = "volume"


def sessions_of(folder: Path, key: str = "") -> list[JournalNote]:
    """Earlier sessions in a folder of journals, the newest first.

    Those that are open now are left out.

    Parameters
    ----------
    folder : Path
        Whose folders are looked at; one that does not exist holds none.
    key : str
        The image, see `JournalNote.key`; all images by default.
    """
    if not folder.is_dir():
        return []
    # The folder's name begins with the key; that of another image cannot cost time.
    notes = [look_at(path) for path in folder.iterdir() if path.name.startswith(key)]
    return sorted((note for note in notes if note is not None and key in ("", note.key)), key=_newest_first)


def look_at(folder: Path) -> JournalNote | None:
    """What a journal holds.

    None when there is nothing in it, it is damaged, or it is open now.
    """
    if not (folder / EVENTS).is_file() or is_owned(folder):
        return None
    try:
        head = read_head(folder)
        n_lines, first, last = _ends(folder / EVENTS)
        if last is None:
            return None
        held = last.get("held")
        return JournalNote(
            folder=folder,
            n_actions=n_lines + (0 if first is None else first - 1),
            n_objects=held if isinstance(held, int) else _count_objects(line for _, line in journal_lines(folder)),
            last=time_of(last),
            begun=datetime.fromisoformat(head["begun"]) if "begun" in head else None,
            key=("slide-" if head.get("kind") == "slide" else "") + str(head["source"].get("key", "")),
            kind=str(head.get("kind", "volume")),
        )
    except (OSError, UserInputError, *DAMAGE):
        logger.warning("The session %s cannot be read and is not offered.", folder.name)
        return None


def _newest_first(note: JournalNote) -> float:
    last = note.last if note.last.tzinfo else note.last.replace(tzinfo=UTC)
    return -last.timestamp()


def _ends(path: Path) -> tuple[int, int | None, dict[str, Any] | None]:
    """Whole lines of a file, the actions in its first line if that is a snapshot, and its last whole line."""
    with path.open("rb") as file:
        match = re.match(rb'\{"t":"[^"]*","event":"snapshot","actions":(\d{1,12}),', file.read(200))
        file.seek(0)
        n_lines = 0
        end = last_end = 0
        while block := file.read(BLOCK):
            n_lines += block.count(b"\n")
            at = block.rfind(b"\n")
            if at >= 0:
                last_end = end + at + 1
            end += len(block)
        if n_lines == 0:
            return 0, None, None
        start = _start_of_line(file, last_end - 1)
        file.seek(start)
        last = json.loads(file.read(last_end - start))
    return n_lines, int(match[1]) if match else None, last


def _start_of_line(file: Any, end: int) -> int:
    """Where the line begins whose line break is at `end`."""
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return int(start + at + 1)
        end = start
    return 0


def _count_objects(lines: Iterator[dict[str, Any]]) -> int:
    """Objects at the end of a journal of version 0.1.0, undo and redo followed."""
    done: list[list[tuple[Any, bool]]] = []
    undone: list[list[tuple[Any, bool]]] = []
    objects: set[Any] = set()
    for line in lines:
        if line["event"] == "undo" and done:
            undone.append(done.pop())
            _apply(objects, undone[-1], backwards=True)
        elif line["event"] == "redo" and undone:
            done.append(undone.pop())
            _apply(objects, done[-1], backwards=False)
        elif "changes" in line:
            changes = [(c["object"], "gone" not in c) for c in line["changes"] if c["field"] == "object"]
            changed = [(name, there) for name, there in changes if (name in objects) != there]
            _apply(objects, changed, backwards=False)
            if line.get("joined") and done:
                done[-1] += changed
            else:
                done.append(changed)
            undone.clear()
    return len(objects)


def _apply(objects: set[Any], changed: list[tuple[Any, bool]], *, backwards: bool) -> None:
    for name, there in reversed(changed) if backwards else changed:
        (objects.add if there != backwards else objects.discard)(name)
