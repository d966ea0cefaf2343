"""The writer of a journal's folder.

One line per action, on the disk before the next action begins.

A disk that is full, or a share that is gone, never stops the work: the lines wait, and are written at the next action,
when somebody asks for it, or at the end. A half-written line is cut back before anything follows it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.prompts import plain
from napari_sam2.record.journal_files import EVENTS, HEAD, is_session
from napari_sam2.record.ownership import LOCK, begun, check_free, claim_fresh, claim_known, dated

if TYPE_CHECKING:
    from collections.abc import Callable

    from filelock import FileLock

__all__ = ["JournalFolder", "line_of", "utc_now"]

_SEPARATORS: Final = (",", ":")

logger = logging.getLogger(__name__)


class JournalFolder:
    """Writes one journal.

    Parameters
    ----------
    folder : Path
        Made when the first line is written. An earlier session of that name is kept under its date.
    head : callable
        Gives the content of ``session.json``; asked once, at the first line.
    resumed : bool
        Go on with the folder as it is; it is locked at once.
    warn : callable, optional
        Told a sentence when the journal cannot be written; by default it is logged.

    Attributes
    ----------
    folder : Path
        Where it is written: another name when a living process writes to the one that was asked for.
    size : int
        Bytes of whole lines on the disk.
    trouble : str
        Why lines are waiting to be written; empty when all are on the disk.

    Raises
    ------
    UserInputError
        If `folder` holds something else, or is to be resumed and is open elsewhere.
    """

    def __init__(
        self,
        folder: Path,
        head: Callable[[], dict[str, Any]],
        *,
        resumed: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.trouble = ""
        self._head = head
        self._warn = warn or logger.warning
        self._lock: FileLock | None = None
        self._begun = resumed
        self._waiting: list[bytes] = []
        self.size = 0
        if resumed:
            self._lock = claim_known(folder)
            self.size = whole_lines(folder / EVENTS)
        else:
            check_free(folder)

    def write(self, event: str, **details: Any) -> None:
        """Append one line, and wait until it is on the disk.

        One that cannot be written waits.
        """
        self._waiting.append(line_of({"t": utc_now(), "event": event, **details}))
        self._flush()

    def catch_up(self) -> bool:
        """Try to write what is waiting; whether nothing is left."""
        if self._waiting:
            self._flush()
        return not self._waiting

    def close(self) -> None:
        """Write what is waiting, and stop owning the folder; the journal stays."""
        if not self.catch_up():
            many = "" if len(self._waiting) == 1 else "s"
            self._warn(f"The last {len(self._waiting)} action{many} could not be written to {self.folder.name}.")
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def copy_to(self, folder: Path) -> None:
        """Put a copy of the journal beside a result.

        It takes the place of an earlier copy of the same session.

        Another session of that name is kept under its date.

        Raises
        ------
        OSError, UserInputError
            If it cannot be written there, or something else has that name.
        """
        if not self._begun:
            return
        check_free(folder)
        parent = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            fresh = Path(shutil.copytree(self.folder, parent / "new", ignore=shutil.ignore_patterns(LOCK)))
            if is_session(folder):
                same = (folder / HEAD).read_bytes() == (fresh / HEAD).read_bytes()
                folder.rename(parent / "old" if same else dated(folder, begun(folder)))
            elif folder.is_dir():
                folder.rmdir()
            fresh.rename(folder)
        finally:
            shutil.rmtree(parent, ignore_errors=True)

    def _flush(self) -> None:
        try:
            if not self._begun:
                self._begin()
            self._append(b"".join(self._waiting))
        except OSError as error:
            if not self.trouble:
                self._warn(
                    f"The journal {self.folder.name} cannot be written ({error.strerror or type(error).__name__}). "
                    "Your work goes on; writing is tried again later. Make room, or save your results."
                )
            self.trouble = error.strerror or type(error).__name__
            return
        self._waiting.clear()
        self.trouble = ""

    def _begin(self) -> None:
        if self._lock is None:
            self.folder, self._lock = claim_fresh(self.folder)
        if not is_session(self.folder):
            write_whole(self.folder / HEAD, json.dumps(self._head(), indent=1).encode())
        self._begun = True

    def _append(self, lines: bytes) -> None:
        path = self.folder / EVENTS
        try:
            # Without a buffer: closing the file would try to write what is left in it once more.
            with path.open("ab", buffering=0) as file:
                file.truncate(self.size)
                left = memoryview(lines)
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
        except OSError:
            _cut_back(path, self.size)
            raise
        self.size += len(lines)


def line_of(content: dict[str, Any]) -> bytes:
    """One line of a journal."""
    return ("{" + ",".join(f'"{key}":{_text(value)}' for key, value in content.items()) + "}\n").encode()


def utc_now() -> str:
    """The time of an action."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole line.

    What a killed process left behind it is cut off.
    """
    if not path.is_file():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        _cut_back(path, whole)
    return whole


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file as a whole.

    A reader, or a kill, meets the old content or the new one.
    """
    fresh = path.with_name(path.name + ".part")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _cut_back(path: Path, size: int) -> None:
    try:
        with path.open("r+b") as file:
            file.truncate(size)
    except OSError:
        logger.debug("The half-written line is cut back at the next try.")


def _text(value: Any) -> str:
    # One entry at a time: the encoder does not let go of the interpreter, and a window may be waiting for it.
    if isinstance(value, list):
        return "[" + ",".join(_text(entry) for entry in value) + "]"
    # Ids and slices of a script may be numbers of NumPy.
    return json.dumps(value, separators=_SEPARATORS, default=plain)
