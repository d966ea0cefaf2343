"""Who writes a journal.

A lock on its folder, which the system lets go of when its process ends or is killed.

A session that begins gets a folder of its own: earlier ones are moved to a name with their date, never deleted, and a
folder that is locked, or holds something else, is left alone.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from napari_sam2.errors import UserInputError
from napari_sam2.record.journal_files import HEAD, is_session, read_head

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOCK", "begun", "check_free", "claim_fresh", "claim_known", "dated", "is_owned"]

LOCK: Final = "owner.lock"

ATTEMPTS: Final = 100
"""Names that are tried; each failure means that another process was faster."""

logger = logging.getLogger(__name__)


def is_owned(folder: Path) -> bool:
    """Whether an open session writes this journal.

    In this process or any other.
    """
    path = folder / LOCK
    if not path.is_file():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        # Without locks nobody can tell; to offer earlier work is better than to lose it.
        return False
    lock.release()
    return False


def claim_fresh(folder: Path) -> tuple[Path, FileLock | None]:
    """An empty folder for a new session, locked.

    An earlier session of that name is kept under its date.

    Returns
    -------
    folder : Path
        Another one than was asked for when that is in use, or holds something else.
    lock : FileLock, optional
        None on a disk without locks.

    Raises
    ------
    OSError
        If no folder can be made there.
    """
    plain_folder = folder
    for _ in range(ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = _lock(folder)
        except (OSError, NotImplementedError):
            if _is_empty(folder):
                return folder, None
            folder = dated(plain_folder, _now())
            continue
        if lock is None:
            folder = dated(plain_folder, _now())
        elif _is_empty(folder):
            return folder, lock
        elif is_session(folder):
            _move_aside(folder, lock)
        else:
            lock.release()
            folder = dated(plain_folder, _now())
    raise OSError(f"no free name beside {plain_folder.name}")


def claim_known(folder: Path) -> FileLock | None:
    """The lock of a session that is gone on with.

    None on a disk without locks.

    Raises
    ------
    UserInputError
        If another window or process has it open.
    """
    try:
        lock = _lock(folder)
    except (OSError, NotImplementedError):
        return None
    if lock is None:
        raise UserInputError(f"The session {folder.name} is open in another window or process; close it there first.")
    return lock


def check_free(folder: Path) -> None:
    """Refuse a name for a session that belongs to something else.

    Raises
    ------
    UserInputError
        If it is a file, or a folder that holds anything but a session.
    """
    if folder.is_dir() and (is_session(folder) or _is_empty(folder) or (folder / LOCK).exists()):
        return
    if os.path.lexists(folder):
        raise UserInputError(f"{folder.name} exists and is not a session of this program; choose another output.")


def dated(folder: Path, when: datetime) -> Path:
    """A name beside a session's that nothing has yet.

    With the date, before the ending.
    """
    ending = ".sam2session" if folder.name.endswith(".sam2session") else ""
    stem = folder.name.removesuffix(ending) + when.strftime("-%Y-%m-%d-%H%M%S")
    number = 1
    while True:
        path = folder.with_name(f"{stem}{'' if number == 1 else f'-{number}'}{ending}")
        if not os.path.lexists(path):
            return path
        number += 1


def _lock(folder: Path) -> FileLock | None:
    """The lock of a folder; None when another one has it, or the folder was moved away meanwhile."""
    lock, proof = FileLock(folder / LOCK), FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    try:
        proof.acquire(timeout=0)
    except Timeout:
        return lock
    # A second lock on the same name was to be had: the first is on a folder that has another name by now.
    proof.release()
    lock.release()
    return None


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing in it but what a session that has hardly begun leaves behind."""
    return all(path.name in (LOCK, f"{HEAD}.part") for path in folder.iterdir())


def _move_aside(folder: Path, lock: FileLock) -> None:
    aside = dated(folder, begun(folder))
    if os.name == "nt":
        # A folder with an open file in it cannot be renamed there.
        lock.release()
    try:
        folder.rename(aside)
    except FileNotFoundError:
        logger.debug("Another process has moved the earlier session already.")
    lock.release()


def begun(folder: Path) -> datetime:
    """When the session began, by its head.

    By its file when that cannot be read.
    """
    try:
        written = read_head(folder).get("begun")
        if isinstance(written, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}Z", written):
            return datetime.fromisoformat(written)
    except (UserInputError, ValueError):
        logger.debug("An earlier session without a readable head is kept by the date of its file.")
    return datetime.fromtimestamp((folder / HEAD).stat().st_mtime, UTC)


def _now() -> datetime:
    return datetime.now(UTC)
