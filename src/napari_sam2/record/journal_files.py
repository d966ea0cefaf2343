"""The two files of a journal, read with care.

A head, and one JSON object per line.

``session.json`` says what was segmented and by whom; ``events.jsonl`` holds one line per action with a UTC time.
A line is on the disk before the next action begins, so only the last one can be torn: that one is left out. Anything
else that cannot be read is refused, with the number of its line.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.checked import NewerError, whole_of
from napari_sam2.core.history import Part
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "DAMAGE",
    "EARLIER",
    "EVENTS",
    "HEAD",
    "MOST_RESULTS",
    "SNAPSHOT",
    "VERSION",
    "damaged_line",
    "is_session",
    "journal_lines",
    "part_of",
    "part_to_json",
    "read_head",
    "said_of_newer",
    "time_of",
]

HEAD, EVENTS, EARLIER = "session.json", "events.jsonl", "earlier.jsonl"

SNAPSHOT: Final = "snapshot"
"""Name of a line that stands for all lines before it."""

VERSION: Final = 2
EARLIER_VERSION: Final = 1
"""Of journals of napari-sam2 0.1.0, which are read as well."""

LONGEST_HEAD: Final = 1 << 20
"""Bytes; a head of this program has about one thousand."""

MOST_RESULTS: Final = 1 << 40
"""Of a run, and runs of a session."""

DAMAGE: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
"""What reading values that are not as they were written can raise; a `UserInputError` is a `ValueError`."""


def is_session(folder: Path) -> bool:
    """Whether a folder is a session's."""
    return (folder / HEAD).is_file()


def read_head(folder: Path) -> dict[str, Any]:
    """What a journal says of its session.

    Raises
    ------
    UserInputError
        If the folder holds no journal, a damaged one, or one of a newer version.
    """
    unreadable = f"{folder.name} holds no readable {HEAD}; give the folder of a session."
    try:
        with (folder / HEAD).open("rb") as file:
            head = json.loads(file.read(LONGEST_HEAD + 1))
    except (OSError, ValueError, RecursionError) as error:
        raise UserInputError(unreadable) from error
    if not isinstance(head, dict):
        raise UserInputError(unreadable)
    version = head.get("version")
    if isinstance(version, int) and version > VERSION:
        newer = NewerError(f"it is written as version {version!r:.20}")
        raise UserInputError(f"{folder.name}/{HEAD}: {said_of_newer(newer)}")
    if version not in (VERSION, EARLIER_VERSION):
        raise UserInputError(f"{folder.name} has version {head.get('version')!r:.20}; this program reads {VERSION}.")
    if not all(isinstance(head.get(part), dict) for part in ("source", "model")) or "overlap" not in head:
        raise UserInputError(f"{folder.name}/{HEAD} is not that of a session.")
    return head


def journal_lines(folder: Path, name: str = EVENTS) -> Iterator[tuple[int, dict[str, Any]]]:
    """All whole lines with their numbers, from 1.

    Raises
    ------
    UserInputError
        At a line that is not what this program writes; a last one without an end is left out.
    """
    path = folder / name
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                return
            with damaged_line(folder, number, name):
                line = json.loads(raw)
                if not isinstance(line, dict) or not isinstance(line.get("event"), str):
                    raise ValueError("it is no action")
            yield number, line


@contextmanager
def damaged_line(folder: Path, number: int, name: str = EVENTS) -> Iterator[None]:
    """Say which line it is that cannot be read."""
    try:
        yield
    except NewerError as error:
        raise UserInputError(f"{folder.name}/{name}, line {number}: {said_of_newer(error)}") from error
    except DAMAGE as error:
        reason = "it is not JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else _reason(error)
        raise UserInputError(
            f"{folder.name}/{name}, line {number} cannot be read: {reason}. The file is damaged; to use what "
            f"comes before, cut it off from that line on in a copy."
        ) from error


def said_of_newer(error: NewerError) -> str:
    """What to do about what only a newer version can have written."""
    return f"{error}, which this version does not know; open the session with the one that wrote it, or a newer one."


def part_to_json(part: Part) -> dict[str, Any]:
    """Which part of a run a line holds."""
    return {"run": part.run} if part.paused is None else {"run": part.run, "paused": part.paused}


def part_of(line: Mapping[str, Any]) -> Part | None:
    """Which part of a run a line holds.

    None for a whole action.
    """
    if "run" not in line:
        return None
    paused = whole_of(line["paused"], 1, MOST_RESULTS, "the number of results") if "paused" in line else None
    return Part(whole_of(line["run"], 1, MOST_RESULTS, "the number of a run"), paused)


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"{str(error)[:60]} is missing"
    return (str(error).splitlines() or [""])[0][:200].rstrip(".") or type(error).__name__


def time_of(line: dict[str, Any]) -> datetime:
    """When an action was done."""
    return datetime.fromisoformat(line["t"])
