"""Reading the bytes of a possibly compressed file.

Every size is known before memory is taken.

A header is only a claim: it may ask for more than the file can hold, or for more than the machine has.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from napari_sam2.errors import ImageFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

    Stream = BufferedReader | gzip.GzipFile

__all__ = [
    "check_claim",
    "check_inflated",
    "check_memory",
    "check_total_memory",
    "existing_file",
    "inflated",
    "is_gzip",
    "peek",
    "read_range",
]

Result = TypeVar("Result")

GZIP_MAGIC: Final = b"\x1f\x8b"

DEFLATE_LIMIT: Final = 1040
"""DEFLATE cannot expand more than about 1032-fold; a header that asks for more lies."""

PICTURE_LIMIT: Final = 2000
"""Times that a picture's pixels may be larger than its file: an empty one compressed, with a part of its tiles left
out, is smaller by this."""

MEMORY_SHARE: Final = 0.5
"""A volume may take half of the machine's memory; the rest is for its copy on screen and the model."""

_CHUNK: Final = 1 << 20
_TRAILING: Final = 64 << 20
"""Bytes after the voxels that are still read to reach the checksum."""


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return the path, if it is a file with something in it.

    Raises
    ------
    ImageFileError
        If not.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise ImageFileError(f"{file.name} does not exist; check the spelling and the folder.")
        if not file.is_file():
            raise ImageFileError(f"{file.name} is not a file.")
        if file.stat().st_size == 0:
            raise ImageFileError(f"{file.name} is empty (0 bytes); copy or export it again.")
        with file.open("rb"):
            return file
    except OSError as error:
        raise ImageFileError(f"{file.name} cannot be opened ({error.strerror}).") from error


def is_gzip(path: Path) -> bool:
    """Whether the content is gzip, whatever the name says."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def peek(path: Path, count: int) -> bytes:
    """Up to `count` first bytes, decompressed if the content is gzip."""
    return _guarded(path, lambda file: file.read(count))


def check_memory(path: Path, needed: int) -> None:
    """Refuse what a file cannot hold or a machine take.

    This comes before allocating it.

    Parameters
    ----------
    path : Path
        The file that is said to hold the data.
    needed : int
        Bytes up to the end of the data, decompressed.

    Raises
    ------
    ImageFileError
        Naming the size in GiB.
    """
    on_disk = path.stat().st_size
    if not is_gzip(path):
        if on_disk < needed:
            raise ImageFileError(
                f"{path.name} is truncated: its header announces {_size(needed)}, the file has "
                f"{_size(on_disk)}; copy or export it again."
            )
    elif needed > on_disk * DEFLATE_LIMIT:
        raise ImageFileError(
            f"{path.name} is damaged: its header announces {_size(needed)}, which a compressed file of "
            f"{_size(on_disk)} cannot hold; copy or export it again."
        )
    check_total_memory(path.name, needed)


def check_claim(path: Path, claimed: int) -> None:
    """Refuse a picture that announces more than its file holds.

    By any usual compression.

    Parameters
    ----------
    path : Path
        The file with all of its pixels.
    claimed : int
        Bytes of the pixels, decompressed.

    Raises
    ------
    ImageFileError
        Naming both sizes.
    """
    on_disk = path.stat().st_size
    if claimed > on_disk * PICTURE_LIMIT:
        raise ImageFileError(
            f"{path.name} is damaged: its tags announce {_size(claimed)} of pixels, which a file of {_size(on_disk)} "
            "cannot hold; copy or export it again."
        )


def check_total_memory(name: str, needed: int) -> None:
    """Refuse what this machine has no memory for.

    Raises
    ------
    ImageFileError
        Naming the sizes.
    """
    limit = _memory_limit()
    if needed > limit:
        raise ImageFileError(
            f"{name} needs {_size(needed)} of memory, more than the {_size(limit)} this machine "
            "can spare; crop the scan or use a machine with more memory."
        )


def read_range(path: Path, offset: int, count: int) -> bytearray:
    """`count` bytes from `offset` of the (decompressed) content.

    A compressed file is read on to its end, so that its checksum is verified.

    Raises
    ------
    ImageFileError
        If the content ends early or its checksum is wrong.
    """

    def work(file: Stream) -> bytearray:
        _skip(file, offset)
        content = bytearray(count)
        view, filled = memoryview(content), 0
        while filled < count:
            got = file.readinto(view[filled : filled + _CHUNK])
            if not got:
                raise EOFError
            filled += got
        if isinstance(file, gzip.GzipFile):
            _read_to_end(file)
        return content

    return _guarded(path, work)


def inflated(path: Path, start: int, count: int) -> Iterator[bytes]:
    """Decompress a zlib or gzip stream inside a file, in bounded pieces.

    Parameters
    ----------
    path : Path
        The file.
    start : int
        Byte at which the stream begins.
    count : int
        Bytes that it must hold, decompressed; a small file that expands without end is given up at once.

    Yields
    ------
    bytes
        At most 1 MiB each, `count` altogether.

    Raises
    ------
    ImageFileError
        If the stream is damaged, ends early, or holds more than `count` bytes.
    """
    expander, held = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            while not expander.eof and (packed := file.read(_CHUNK)):
                is_full = False
                while packed or is_full:  # all input may be taken and output still be waiting
                    piece = expander.decompress(packed, _CHUNK)
                    packed, is_full = expander.unconsumed_tail, len(piece) == _CHUNK
                    held += len(piece)
                    if held > count:
                        raise ImageFileError(f"{path.name} is damaged: it holds more data than its header announces.")
                    yield piece
    except zlib.error as error:
        raise ImageFileError(f"{path.name} is damaged: it cannot be decompressed; export it again.") from error
    if held < count or not expander.eof:
        raise ImageFileError(f"{path.name} is truncated: it ends before its data does; copy or export it again.")


def check_inflated(path: Path, start: int, count: int) -> None:
    """Refuse a compressed stream of other than `count` bytes.

    As `inflated`.
    """
    for _ in inflated(path, start, count):
        pass


def _guarded(path: Path, work: Callable[[Stream], Result]) -> Result:
    """Run `work` on the open file and put what goes wrong into words."""
    again = "copy or export it again"
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
            return work(file)
    except EOFError as error:
        raise ImageFileError(f"{path.name} is truncated: it ends before its data does; {again}.") from error
    except gzip.BadGzipFile as error:
        reason = "its checksum (CRC) is wrong" if "CRC" in str(error) else "it is not valid gzip"
        raise ImageFileError(f"{path.name} is damaged: {reason}; {again}.") from error
    except zlib.error as error:
        raise ImageFileError(f"{path.name} is damaged: it cannot be decompressed; {again}.") from error
    except OSError as error:
        raise ImageFileError(f"{path.name} cannot be read ({error.strerror or error}); {again}.") from error


def _skip(file: Stream, count: int) -> None:
    while count > 0:
        got = len(file.read(min(count, _CHUNK)))
        if not got:
            raise EOFError
        count -= got


def _read_to_end(file: Stream) -> None:
    left = _TRAILING
    while left > 0 and (got := len(file.read(_CHUNK))):
        left -= got


def _memory_limit() -> int:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        total = 32 << 30
    return int(total * MEMORY_SHARE)


def _size(count: int) -> str:
    if count >= 1 << 29:
        return f"{count / (1 << 30):.1f} GiB"
    if count >= 1 << 19:
        return f"{count / (1 << 20):.1f} MiB"
    return f"{count} bytes"
