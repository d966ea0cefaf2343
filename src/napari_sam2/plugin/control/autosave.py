"""Autosave: the journal of a session.

In the user's own folder, found again when the scan is opened again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from platformdirs import user_state_dir

from napari_sam2.errors import UserInputError
from napari_sam2.io.film import FILM_ENDINGS
from napari_sam2.io.formats import suffix_of
from napari_sam2.io.labels import WRITABLE
from napari_sam2.plugin.control.recent import RecentImages
from napari_sam2.record.journal import Journal, volume_key
from napari_sam2.record.listing import JournalNote, sessions_of
from napari_sam2.record.ownership import dated

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.session.session import Session


__all__ = ["VOLUMES", "Autosave", "JournalKind", "sessions_folder"]

SessionT = TypeVar("SessionT")

FOLDER_VARIABLE: Final = "NAPARI_SAM2_SESSIONS"
"""Environment variable that moves the journals, for example to an encrypted disk."""


@dataclass(frozen=True, slots=True)
class JournalKind(Generic[SessionT]):
    """How sessions of one kind are kept.

    Attributes
    ----------
    key : callable
        The name under which a session's image is found again.
    journal : type of Journal
        Writes a session's actions, and resumes them.
    endings : tuple of str
        Of result files, beside which the journal is copied.
    """

    key: Callable[[SessionT], str]
    journal: Any
    endings: tuple[str, ...]


VOLUMES: Final[JournalKind[Session]] = JournalKind(
    lambda session: volume_key(session.volume), Journal, (*WRITABLE, *FILM_ENDINGS)
)


class Autosave(Generic[SessionT]):
    """The journal of one session; used on the inference thread.

    Every session has a folder of its own, named after its image (as a hash) and the time; none is ever deleted.

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
    found : list of JournalNote
        All earlier sessions on the same image, as they were when this one began.
    earlier : JournalNote, optional
        The last session on the same image, as it was when this one began.
    note : str
        What a person should know about where journals are kept, else empty.
    """

    def __init__(self, session: SessionT, kind: JournalKind[SessionT], folder: Path | None = None) -> None:
        self.note = ""
        parent = sessions_folder(folder)
        if not _can_be_written(parent):
            self.note = f"The autosave folder {parent.name} cannot be written; your work is kept in your user folder."
            parent = _user_folder()
        self._parent, self._key, self._kind = parent, kind.key(session), kind
        self._warnings: list[str] = []
        self.found = self.sessions()
        self.earlier: JournalNote | None = next(iter(self.found), None)
        self._folder = dated(parent / self._key, datetime.now(UTC))
        self._journal: Any = kind.journal(session, self._folder, warn=self._warnings.append)

    def sessions(self) -> list[JournalNote]:
        """Earlier sessions on the same image, the newest first.

        Those that are open now are left out.
        """
        return sessions_of(self._parent, self._key)

    def resume(self, session: SessionT, note: JournalNote | None = None) -> None:
        """Bring the session to where an earlier one ended.

        Its journal is written on.

        What the session held until now stays in a journal of its own, which `sessions` lists.

        Parameters
        ----------
        session : Session or SlideSession
            The one that this writes.
        note : JournalNote, optional
            One of `sessions`; the last one by default.

        Raises
        ------
        UserInputError
            If there is none, it is open elsewhere, or it is damaged; everything is as before then.
        """
        note = note or self.earlier
        if note is None:
            raise UserInputError("There is no earlier session on this image.")
        resumed = self._kind.journal.resume(session, note.folder, warn=self._warnings.append)
        self.close()
        self._journal, self._folder = resumed, note.folder

    @property
    def is_behind(self) -> bool:
        """Whether actions wait for a full disk or a lost share."""
        return self._journal is not None and bool(self._journal.trouble)

    def catch_up(self) -> None:
        """Try to write what is waiting."""
        if self._journal is not None:
            self._journal.catch_up()

    def take_warning(self) -> str:
        """What went wrong with writing since this was asked last.

        Empty when nothing did.
        """
        said = " ".join(self._warnings)
        self._warnings.clear()
        return said

    @property
    def key(self) -> str:
        """The image, as its journals are named; see `JournalNote.key`."""
        return self._key

    @property
    def images(self) -> RecentImages:
        """What is remembered of the images of these journals."""
        return RecentImages(self._parent)

    @property
    def folder(self) -> Path:
        """Where the journal is.

        Or will be once there is something to write.
        """
        folder: Path = self._folder if self._journal is None else self._journal.folder
        return folder

    def copy_beside(self, labels: Path) -> None:
        """Put the journal beside a saved result.

        A folder that cannot be written does not undo the save.
        """
        ending = suffix_of(labels.name, self._kind.endings) or ""
        target = labels.with_name(labels.name[: len(labels.name) - len(ending)] + ".sam2session")
        try:
            if self._journal is not None:
                self._journal.copy_to(target)
        except (OSError, UserInputError) as error:
            reason = str(error) if isinstance(error, UserInputError) else f"{error.strerror}."
            self._warnings.append(f"The session could not be copied beside the result: {reason}")

    def close(self) -> None:
        """Stop writing; the journal stays."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def sessions_folder(chosen: Path | None = None) -> Path:
    """Where journals are kept.

    The environment variable counts before `chosen`, and that before the user's folder.
    """
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
