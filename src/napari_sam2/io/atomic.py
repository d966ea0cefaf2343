"""Writing a file completely or not at all.

Bytes go to a temporary file in the target's folder, are flushed to the disk, read back and compared,
and only then take the target's name. A full disk, a crash or a kill leaves an earlier file as it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError, UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "PREFIX",
    "as_utf8",
    "atomic_write",
    "check_folder",
    "check_free",
    "check_new_folder",
    "check_place",
    "explained",
    "flush",
    "flush_folder",
    "temporary_beside",
    "write_bytes",
    "write_text",
]

PREFIX: Final = ".napari-sam2-"
STALE_SECONDS: Final = 3600
"""A temporary file that nobody has written to for an hour belongs to a process that is gone."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give the block a temporary file to write; afterwards it becomes `path`.

    Parameters
    ----------
    path : path-like
        The file to make. Its folder must exist.
    overwrite : bool
        Whether an existing file may be replaced. Otherwise it is left alone even when another
        process makes it while the block runs.

    Yields
    ------
    Path
        An empty file beside the target, with the target's suffixes. When the block raises, it is
        removed and the target stays as it was.

    Raises
    ------
    UserInputError
        If the folder is missing or closed to writing, or the file exists.
    EnvironmentLacksError
        If the disk is full or fails.
    """
    target = Path(path)
    check_folder(target)
    check_free(target, overwrite=overwrite)
    temporary = temporary_beside(target)
    try:
        try:
            yield temporary
            flush(temporary)
            _publish(temporary, target, overwrite)
        except OSError as error:
            raise explained(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes, *, overwrite: bool = False) -> Path:
    """Write `content` to `path` atomically, and check it by reading it back.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `atomic_write`.
    """
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
        if temporary.read_bytes() != content:
            raise OSError(errno.EIO, "what was read back differs from what was written")
    return Path(path)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> Path:
    """Write `text` as UTF-8, with its line ends as they are.

    Like `write_bytes`; see `as_utf8`.
    """
    return write_bytes(path, as_utf8(text), overwrite=overwrite)


def as_utf8(text: str) -> bytes:
    r"""Text as UTF-8.

    Bytes of a file's name that are no text become ``\udcXX``, which JSON reads back.
    """
    return text.encode("utf-8", "backslashreplace")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a target whose folder is missing or closed to writing.

    Temporary files that an earlier, killed process left in that folder are removed.

    Raises
    ------
    UserInputError
        Saying what is wrong with the folder.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise UserInputError(f"Cannot write {target.name}: that is a folder; give a file name.")
    except OSError as error:  # the name is too long
        raise UserInputError(f"Cannot write {target.name} ({error.strerror}); choose another name.") from error
    check_place(target)


def check_place(target: Path) -> None:
    """Refuse a file or folder where nothing can be made.

    Raises
    ------
    UserInputError
        As `check_folder`.
    """
    folder = target.parent
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise UserInputError(
            f"Cannot write {target.name}: its folder {folder.name or folder}/ {problem}; make the folder first."
        )
    _remove_stale(folder)
    temporary_beside(target).unlink()


def check_new_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, or is closed.

    Folders above it may be missing as well.

    Raises
    ------
    UserInputError
        If it, or what is above it, is a file, a link to nothing, or a folder that nothing can be written into; or its
        name is too long.
    """
    try:
        _check_new_folder(folder)
    except OSError as error:
        name = folder.name if len(folder.name) < 50 else f"{folder.name[:50]}..."
        raise UserInputError(f"Cannot write into {name}: {error.strerror}; give another folder.") from error


def _check_new_folder(folder: Path) -> None:
    # A link in a circle has no end to resolve to.
    name = Path(os.path.realpath(folder)).name or str(folder)
    for place in (folder.absolute(), *folder.absolute().parents):
        if place.is_dir():
            check_place(place / name)
            return
        if os.path.lexists(place):
            problem = "a link that leads nowhere" if place.is_symlink() and not place.exists() else "a file"
            where = "it" if place == folder.absolute() else place.name
            raise UserInputError(f"Cannot write into {name}: {where} is {problem}; give another folder.")


def check_free(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a name that is taken, unless it may be replaced.

    Raises
    ------
    UserInputError
        If there is anything of that name, a broken link included.
    """
    if not overwrite and os.path.lexists(target):
        raise _exists(target)


def temporary_beside(target: Path) -> Path:
    """An empty file in the target's folder, with the target's ending.

    Raises
    ------
    UserInputError
        If the folder is closed to writing.
    EnvironmentLacksError
        If the disk is full.
    """
    # Readers decide by suffix, so the temporary file ends as the target does.
    suffix = "".join(target.suffixes[-2:]) if target.suffix == ".gz" else target.suffix
    temporary = target.parent / f"{PREFIX}{secrets.token_hex(8)}.part{suffix}"
    try:
        # Not tempfile: that makes files private, and the umask should decide as for any other file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        if error.errno in _FULL:
            raise explained(error, target) from error
        raise UserInputError(
            f"Cannot write {target.name}: its folder does not allow it ({error.strerror}); choose another folder."
        ) from error
    return temporary


def _remove_stale(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for leftover in folder.glob(PREFIX + "*.part*"):
            if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
                leftover.unlink(missing_ok=True)


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
    else:
        try:
            os.link(temporary, target)  # unlike a rename, a link never replaces
        except FileExistsError as error:
            raise _exists(target) from error
        except OSError:  # a file system without hard links
            if os.path.lexists(target):
                raise _exists(target) from None
            temporary.replace(target)
    flush_folder(target.parent)


def flush(path: Path) -> None:
    """Bring a file's bytes to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where the system can."""
    # Windows cannot open folders; some network drives cannot flush them.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exists(target: Path) -> UserInputError:
    return UserInputError(f"{target.name} exists already; choose another name or pass --overwrite.")


def explained(error: OSError, target: Path) -> Exception:
    """The error to raise for an error of the system."""
    remedy = "free some space or choose another disk" if error.errno in _FULL else "choose another place"
    return EnvironmentLacksError(
        f"Cannot write {target.name} ({error.strerror or error}); nothing was changed there; {remedy}."
    )
