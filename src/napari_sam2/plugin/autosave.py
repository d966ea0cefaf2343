"""Autosave: the journal of a session in the user's own folder, found again when the scan is opened again."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platformdirs import user_state_dir

from napari_sam2.io.labels import WRITABLE
from napari_sam2.journal import Journal, JournalNote, look_at, restore, volume_key

if TYPE_CHECKING:
    from napari_sam2.session import Session

__all__ = ["Autosave", "sessions_folder"]

logger = logging.getLogger(__name__)

FOLDER_VARIABLE: Final = "NAPARI_SAM2_SESSIONS"
"""Environment variable that moves the journals, for example to an encrypted disk."""


class Autosave:
    """The journal of one session; used on the inference thread.

    Parameters
    ----------
    session : Session
        Whose actions are written.
    folder : Path, optional
        Where journals are kept; see `sessions_folder`.

    Attributes
    ----------
    earlier : JournalNote, optional
        What an earlier session on the same scan left behind.
    note : str
        What a person should know about where journals are kept, else empty.
    """

    def __init__(self, session: Session, folder: Path | None = None) -> None:
        self.note = ""
        parent = sessions_folder(folder)
        if not _can_be_written(parent):
            self.note = f"The autosave folder {parent.name} cannot be written; your work is kept in your user folder."
            parent = _user_folder()
        folder = parent / volume_key(session.volume)
        self.earlier: JournalNote | None = look_at(folder)
        self._folder = folder
        self._journal: Journal | None = Journal(session, folder)

    def resume(self, session: Session) -> None:
        """Bring the session to where the earlier one ended, and go on writing its journal."""
        if self._journal is not None:
            self._journal.close()
        self._journal = None
        restore(session, self._folder)
        self._journal = Journal(session, self._folder, resumed=True)

    def copy_beside(self, labels: Path) -> None:
        """Put the journal beside a saved label map; a folder that cannot be written does not undo the save."""
        ending = next((e for e in WRITABLE if labels.name.lower().endswith(e)), "")
        target = labels.with_name(labels.name[: len(labels.name) - len(ending)] + ".sam2session")
        try:
            if self._journal is not None:
                self._journal.copy_to(target)
        except OSError:
            logger.warning("The session's journal could not be copied beside the label map.")

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
