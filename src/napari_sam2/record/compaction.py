"""Compaction: a snapshot takes the place of a journal's lines.

When they have outgrown what they led to.

``events.jsonl`` then begins with a snapshot: all objects, the last steps with what they replaced, and what was
undone. So resuming costs what there is, not what was done. What was asked before is kept in ``earlier.jsonl``, without
what came out, for `replay`. The new file is written beside the old one and takes its name at once: a kill
leaves either.
"""

from __future__ import annotations

import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.actions import Edit
from napari_sam2.core.checked import list_of, text_of, whole_of
from napari_sam2.core.history import MISSING, Change, Step
from napari_sam2.models.base import described_model
from napari_sam2.record.journal_files import EARLIER, EVENTS, SNAPSHOT
from napari_sam2.record.journal_folder import line_of, utc_now, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_sam2.core.actions import ActionState
    from napari_sam2.record.codec import Codec
    from napari_sam2.record.journal_folder import JournalFolder

__all__ = ["Compaction", "fill_from_snapshot"]

FEWEST_LINES: Final = 100
SMALLEST: Final = 256 << 10
"""Lines and bytes below which a journal stays as it is: reading them takes a fraction of a second."""

KEPT_STEPS: Final = 100
"""Steps that can be undone after a resume, beside those since the snapshot."""

Json = dict[str, Any]

logger = logging.getLogger(__name__)


class Compaction:
    """Watches the size of a journal, and makes it smaller.

    Parameters
    ----------
    journal : JournalFolder
        Whose files.
    codec : Codec
        How its session is written.
    session : Session or SlideSession
        The session.
    """

    def __init__(self, journal: JournalFolder, codec: Codec, session: Any) -> None:
        self._journal = journal
        self._codec = codec
        self._session = session
        self._n_lines = 0
        self._snapshot_size = first_snapshot_size(journal.folder / EVENTS)

    def after_line(self) -> None:
        """Compact the journal if it has outgrown its snapshot twice."""
        self._n_lines += 1
        since = self._journal.size - self._snapshot_size
        if self._n_lines < FEWEST_LINES or since < max(SMALLEST, self._snapshot_size) or self._journal.trouble:
            return
        if self._session.state.runs:
            # A snapshot knows no half of a run.
            return
        self._n_lines = 0
        try:
            self._compact()
        except OSError:
            # The lines are all there: nothing is lost but room.
            logger.warning("The journal %s could not be made smaller.", self._journal.folder.name)

    def _compact(self) -> None:
        folder = self._journal.folder
        raw = (folder / EVENTS).read_bytes().split(b"\n")[:-1]
        first = json.loads(raw[0])
        head_of_earlier = first if first["event"] == SNAPSHOT else {"actions": 0, "earlier": 0}
        lines = [json.loads(line) for line in (raw[1:] if head_of_earlier is first else raw)]
        earlier_lines = b"".join(line_of(_as_asked(self._codec, line)) for line in lines)
        with (folder / EARLIER).open("ab", buffering=0) as file:
            # What a compaction that was killed had written already.
            file.truncate(head_of_earlier["earlier"])
            left = memoryview(earlier_lines)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        state = self._session.state
        head = {
            "t": utc_now(),
            "event": SNAPSHOT,
            "actions": head_of_earlier["actions"] + len(lines),
            "held": len(state.store.objects),
            "earlier": head_of_earlier["earlier"] + len(earlier_lines),
            "model": described_model(state.model),
        }
        content = line_of({**head, **_state_to_json(self._codec, state)})
        write_whole(folder / EVENTS, content)
        self._journal.size = self._snapshot_size = len(content)


def first_snapshot_size(path: Path) -> int:
    """Bytes of the snapshot that a journal begins with.

    0 when there is none.
    """
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        line = file.readline()
    return len(line) if re.match(rb'\{"t":"[^"]*","event":"snapshot",', line) else 0


def fill_from_snapshot(codec: Codec, state: ActionState[Any], line: Mapping[str, Any]) -> None:
    """Bring a state without objects to where a snapshot was taken."""
    pool = _ReadingPool(codec, line["pool"])
    codec.use_settings(line["settings"], state)
    records = [codec.record_from_json(written, pool) for written in list_of(line["records"])]
    alive = [_of(records, number) for number in list_of(line["objects"])]
    state.store.fill(alive, whole_of(line["next_rank"], 0, 1 << 40, "a rank"))
    done, undone = (
        [_step_from_json(codec, written, records, pool) for written in list_of(line[stack])]
        for stack in ("done", "undone")
    )
    state.history.fill(done, undone)


class _Remembered(Edit):
    """An action of which a snapshot keeps what it changed, and how it is called."""

    name = title = "remembered"

    def __init__(self, name: str, said: str) -> None:
        self.written_name, self._said = name, said

    @property
    def said(self) -> str:
        """What people read of it."""
        return self._said


class _WritingPool:
    """Values by their identity: a mask that several steps share is written once."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._numbers: dict[tuple[str, int], int] = {}
        self._kept: list[Any] = []
        self.values: dict[str, list[Any]] = {}

    def put(self, kind: str, value: Any) -> int:
        """The number of a value."""
        key = (kind, id(value))
        if key not in self._numbers:
            written = self.values.setdefault(kind, [])
            self._numbers[key] = len(written)
            written.append(self._codec.pooled_to_json(kind, value))
            self._kept.append(value)
        return self._numbers[key]

    def get(self, kind: str, number: Any) -> Any:
        """Not while writing."""
        raise NotImplementedError


class _ReadingPool:
    """The values again, one of each."""

    def __init__(self, codec: Codec, written: Mapping[str, Any]) -> None:
        self._values = {
            text_of(kind): [codec.pooled_from_json(kind, value) for value in list_of(values)]
            for kind, values in written.items()
        }

    def put(self, kind: str, value: Any) -> int:
        """Not while reading."""
        raise NotImplementedError

    def get(self, kind: str, number: Any) -> Any:
        """The value of a number."""
        return _of(self._values.get(kind, []), number)


def _of(values: list[Any], number: Any) -> Any:
    return values[whole_of(number, 0, len(values) - 1, "a number in a snapshot")]


def _state_to_json(codec: Codec, state: ActionState[Any]) -> Json:
    pool = _WritingPool(codec)
    numbers: dict[int, int] = {}
    records: list[Any] = []

    def number_of(record: Any) -> int:
        if id(record) not in numbers:
            numbers[id(record)] = len(records)
            records.append(record)
        return numbers[id(record)]

    alive = [number_of(record) for record in state.store.objects.values()]
    done = [_step_to_json(codec, step, number_of, pool) for step in state.history.done[-KEPT_STEPS:]]
    undone = [_step_to_json(codec, step, number_of, pool) for step in state.history.undone[-KEPT_STEPS:]]
    written = [codec.record_to_json(record, pool) for record in records]
    return {
        "settings": codec.settings_to_json(),
        "next_rank": state.store.next_rank,
        "objects": alive,
        "records": written,
        "done": done,
        "undone": undone,
        "pool": pool.values,
    }


def _step_to_json(codec: Codec, step: Step, number_of: Any, pool: _WritingPool) -> Json:
    changes = []
    for change in step:
        written: Json = {"object": change.object_id, "field": change.field}
        if change.index is not None:
            written["slice"] = change.index
        for when, value in (("before", change.before), ("after", change.after)):
            if value is not MISSING:
                is_record = change.field == "object"
                written[when] = number_of(value) if is_record else codec.value_to_json(change.field, value, pool)
        changes.append(written)
    name = step.action.written_name if isinstance(step.action, _Remembered) else step.action.name
    return {"event": name, "title": step.action.said, "changes": changes}


def _step_from_json(codec: Codec, written: Any, records: list[Any], pool: _ReadingPool) -> Step:
    step = Step(_Remembered(text_of(written["event"]), text_of(written["title"])))
    for entry in list_of(written["changes"]):
        object_id, field = codec.checked_id(entry["object"]), text_of(entry["field"])
        index = None if "slice" not in entry else whole_of(entry["slice"], 0, 1 << 20, "a slice")
        values = [MISSING, MISSING]
        for place, when in enumerate(("before", "after")):
            if when in entry:
                is_record = field == "object"
                values[place] = (
                    _of(records, entry[when]) if is_record else codec.value_from_json(field, entry[when], pool)
                )
        step.note(Change(object_id, field, index, *values))
    return step


def _as_asked(codec: Codec, line: Json) -> Json:
    """A line without what came out; one of version 0.1.0, which has it only there, stays as it is."""
    if "changes" not in line or "held" not in line:
        return line
    kind = codec.action_of(line["event"], line)
    asked_in = () if kind is None else kind.asked_in
    changes = []
    for change in line["changes"]:
        if change["field"] in asked_in:
            changes.append(change)
        elif line.get("stopped"):
            # Where a run that was stopped had come to.
            changes.append({key: value for key, value in change.items() if key != "value"})
    return {**line, "changes": changes}
