"""The journal of a session.

Every action, on the disk before the next one begins.

A folder holds ``session.json`` (what was segmented, with which model and how it looked) and ``events.jsonl``: one line
per action, with what was asked and what came out, each with a UTC time. A crash loses at most the action in flight, and
reading the lines again rebuilds the session exactly, without the model. When the lines have outgrown what they led to,
a snapshot takes their place (`napari_sam2.record.compaction`).

One class writes the sessions of volumes and of slides; what differs is in their codecs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_sam2._version import __version__
from napari_sam2.core.actions import Edit, Resumed, Run, UseModel
from napari_sam2.core.checked import NewerError
from napari_sam2.core.history import Step
from napari_sam2.errors import UserInputError
from napari_sam2.io.sidecar import INTENDED_USE, software_versions
from napari_sam2.models.base import described_model
from napari_sam2.record.compaction import Compaction, fill_from_snapshot
from napari_sam2.record.journal_files import (
    DAMAGE,
    HEAD,
    SNAPSHOT,
    VERSION,
    damaged_line,
    journal_lines,
    part_of,
    part_to_json,
    read_head,
    said_of_newer,
)
from napari_sam2.record.journal_folder import JournalFolder
from napari_sam2.record.listing import JournalNote, look_at, sessions_of
from napari_sam2.record.scan_codec import ScanCodec, volume_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_sam2.core.actions import Action, ActionState
    from napari_sam2.record.codec import Codec
    from napari_sam2.session.session import Session
    from napari_sam2.slides.session import SlideSession

__all__ = [
    "HEAD",
    "Journal",
    "JournalNote",
    "codec_of",
    "journal_lines",
    "look_at",
    "restore",
    "sessions_of",
    "take_over",
    "volume_key",
]


class Journal(JournalFolder):
    """Writes the actions of one session.

    Parameters
    ----------
    session : Session or SlideSession
        Whose actions are written; it must not be changed by anyone else.
    folder : Path
        Made when the first action is written. An earlier session of that name is kept under its date.
    resumed : bool
        Go on with the folder as it is; see also `resume`.
    warn : callable, optional
        Told a sentence when the journal cannot be written.
    """

    def __init__(
        self,
        session: Session | SlideSession,
        folder: Path,
        *,
        resumed: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        codec = codec_of(session)
        super().__init__(folder, lambda: _head(codec), resumed=resumed, warn=warn)
        self._codec = codec
        self._listeners = session.state.on_action
        self._session = session
        self._compaction = Compaction(self, codec, session)
        self._listeners.append(self._on_action)

    @classmethod
    def resume(
        cls, session: Session | SlideSession, folder: Path, warn: Callable[[str], None] | None = None
    ) -> Journal:
        """Bring a session to where its journal ended.

        The journal is then written on.

        What the session held is replaced; it is unchanged when this fails.

        Raises
        ------
        UserInputError
            If the journal is open elsewhere, damaged, empty, or belongs to another image.
        """
        journal = cls(session, folder, resumed=True, warn=warn)
        try:
            model = _restore(journal._codec, folder)
        except BaseException:
            journal.close()
            raise
        journal._on_action(Resumed(), None)
        now = described_model(session.state.model)
        if any(model.get(what, value) != value for what, value in now.items()):
            journal._on_action(UseModel(now), None)
        for action in journal._codec.seen_now():
            journal._on_action(action, None)
        return journal

    def close(self) -> None:
        """Stop writing."""
        if self._on_action in self._listeners:
            self._listeners.remove(self._on_action)
        super().close()

    def _on_action(self, action: Action, step: Step | None) -> None:
        changes = {} if step is None else {"changes": [self._codec.change_to_json(change) for change in step]}
        part = {} if step is None or step.part is None else part_to_json(step.part)
        self.write(action.name, **changes, **part, **action.as_json(), held=len(self._session.state.store.objects))
        self._compaction.after_line()


def restore(session: Session | SlideSession, folder: Path) -> None:
    """Bring a session to where a journal ended.

    The model is not asked. The session is unchanged when this fails.

    Raises
    ------
    UserInputError
        If the journal is damaged, empty, or belongs to another image or a newer version.
    """
    _restore(codec_of(session), folder)


def codec_of(session: Session | SlideSession) -> Codec:
    """How a session is written."""
    from napari_sam2.session.session import Session

    if isinstance(session, Session):
        return ScanCodec(session)
    from napari_sam2.record.slide_codec import SlideCodec

    return SlideCodec(session)


def take_over(codec: Codec, state: ActionState[Any], line: Mapping[str, Any]) -> Action:
    """Put in place what came out of an action.

    The model is not asked; returns the action.
    """
    kind = codec.action_of(line["event"], line)
    if kind is None:
        raise NewerError(f"it holds the action {line['event'][:40]!r}")
    action = kind.from_json(line, state)
    if "changes" in line:
        if not isinstance(action, Edit | Run):
            raise ValueError(f"the action {line['event'][:40]!r} changes no objects")
        step = Step(action)
        for written in line["changes"]:
            change = codec.change_from_json(written, state)
            state.store.write(change.object_id, change.field, change.index, change.after)
            step.note(change)
        codec.check_step(step, state)
        part = part_of(line)
        if part is not None:
            if not isinstance(action, Run):
                raise ValueError(f"the action {line['event'][:40]!r} has no parts")
            state.runs.read_part(step, part)
        elif len(step):
            state.history.add(step)
    action.settle(state)
    return action


def _restore(codec: Codec, folder: Path) -> Mapping[str, Any]:
    """Restore a session; what the journal says of the model that answered last."""
    head = read_head(folder)
    try:
        codec.check_head(head)
    except UserInputError:
        raise
    except NewerError as error:
        raise UserInputError(f"{folder.name}/{HEAD}: {said_of_newer(error)}") from error
    except DAMAGE as error:
        raise UserInputError(f"{folder.name}/{HEAD} is not that of a session: {error}.") from error
    state = codec.fresh()
    codec.use_head(head, state)
    model: Mapping[str, Any] = head["model"]
    number = 0
    for number, line in journal_lines(folder):
        with damaged_line(folder, number):
            if line["event"] == SNAPSHOT and number == 1:
                fill_from_snapshot(codec, state, line)
                model = line["model"]
                continue
            action = take_over(codec, state, line)
            if isinstance(action, UseModel):
                model = action.described
    if number == 0:
        raise UserInputError(f"{folder.name} holds no action; there is nothing in it to go on with.")
    state.runs.end_read()
    codec.adopt(state)
    return model


def _head(codec: Codec) -> dict[str, Any]:
    return {
        "version": VERSION,
        "program": f"napari-sam2 {__version__}",
        "notice": INTENDED_USE,
        "begun": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        **codec.head(),
        "software": software_versions(),
    }
