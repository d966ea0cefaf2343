"""Autosave: the journal of a session in the user's own folder, found again when the scan is opened again."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from platformdirs import user_state_dir

from napari_sam2.io.film import FILM_ENDINGS
from napari_sam2.io.labels import WRITABLE
from napari_sam2.record.journal import Journal, JournalNote, look_at, restore, volume_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.session.session import Session


__all__ = ["VOLUMES", "Autosave", "JournalKind", "sessions_folder"]

SessionT = TypeVar("SessionT")

logger = logging.getLogger(__name__)

FOLDER_VARIABLE: Final = "NAPARI_SAM2_SESSIONS"
"""Environment variable that moves the journals, for example to an encrypted disk."""


@dataclass(frozen=True, slots=True)
class JournalKind(Generic[SessionT]):
    """How sessions of one kind are kept.

    Attributes
    ----------
    key : callable
        The name under which a session's image is found again.
    journal : callable
        Begins a journal of a session in a folder, or goes on with it (``resumed=True``).
    restore : callable
        Brings a session to where a folder's journal ended.
    endings : tuple of str
        Of result files, beside which the journal is copied.
    """

    key: Callable[[SessionT], str]
    journal: Callable[..., Any]
    restore: Callable[[SessionT, Path], None]
    endings: tuple[str, ...]


VOLUMES: Final[JournalKind[Session]] = JournalKind(
    lambda session: volume_key(session.volume), Journal, restore, (*WRITABLE, *FILM_ENDINGS)
)


class Autosave(Generic[SessionT]):
    """The journal of one session; used on the inference thread.

    Parameters
    ----------
    session : Session or SlideSession
        Whose actions are written.
    kind : JournalKind
        How.
    folder : Path, optional
        Where journals are kept; see `sessions_folder`.

    Attributes
    ----------
    earlier : JournalNote, optional
        What an earlier session on the same image left behind.
    note : str
        What a person should know about where journals are kept, else empty.
    """

    def __init__(self, session: SessionT, kind: JournalKind[SessionT], folder: Path | None = None) -> None:
        self.note = ""
        parent = sessions_folder(folder)
        if not _can_be_written(parent):
            self.note = f"The autosave folder {parent.name} cannot be written; your work is kept in your user folder."
            parent = _user_folder()
        folder = parent / kind.key(session)
        self.earlier: JournalNote | None = look_at(folder)
        self._folder = folder
        self._kind = kind
        self._journal: Any = kind.journal(session, folder)

    def resume(self, session: SessionT) -> None:
        """Bring the session to where the earlier one ended, and go on writing its journal."""
        if self._journal is not None:
            self._journal.close()
        self._journal = None
        self._kind.restore(session, self._folder)
        self._journal = self._kind.journal(session, self._folder, resumed=True)

    @property
    def folder(self) -> Path:
        """Where the journal is, or will be once there is something to write."""
        folder: Path = self._folder if self._journal is None else self._journal.folder
        return folder

    def copy_beside(self, labels: Path) -> None:
        """Put the journal beside a saved result; a folder that cannot be written does not undo the save."""
        ending = next((e for e in self._kind.endings if labels.name.lower().endswith(e)), "")
        target = labels.with_name(labels.name[: len(labels.name) - len(ending)] + ".sam2session")
        try:
            if self._journal is not None:
                self._journal.copy_to(target)
        except OSError:
            logger.warning("The session's journal could not be copied beside the result.")

    def close(self) -> None:
        """Stop writing; the journal stays."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def sessions_folder(chosen: Path | None = None) -> Path:
    """Where journals are kept: the environment variable counts before `chosen`, and that before the user's folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else chosen or _user_folder()


def _user_folder() -> Path:
    return Path(user_state_dir("napari-sam2", appauthor=False)) / "sessions"


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
