"""Voxels of files with a text header, as NRRD and MetaImage.

The header states sizes, type and compression.

Both are decoded here. ITK reads a file that ends early, or states another compressed size than it has, as zeros
without a word, and a long line in a header ends its process.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import ImageFileError, SeveralVolumesError
from napari_sam2.io.payload import check_total_memory, inflated, read_range

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["check_sizes", "choose_volume", "read_array"]


def check_sizes(sizes: list[int], name: str) -> None:
    """Refuse sizes that are no array's.

    Raises
    ------
    ImageFileError
        If one is below 1, or there are too few or too many.
    """
    if not 2 <= len(sizes) <= 5 or min(sizes) < 1:
        size_text = " x ".join(str(n) for n in sizes[:6]) or "of nothing"
        raise ImageFileError(f"{name} is damaged: its header announces the size {size_text}; export it again.")


def read_array(path: Path, start: int, sizes: list[int], dtype: np.dtype[Any], *, is_compressed: bool) -> NDArray[Any]:
    """Read an array whose first axis runs fastest.

    Parameters
    ----------
    path : Path
        The file with the voxels.
    start : int
        Byte at which they, or their zlib or gzip stream, begin.
    sizes : list of int
        Along each axis, the fastest first.
    dtype : dtype
        As stored, with its byte order.
    is_compressed : bool
        Whether they are compressed; the stream must then hold exactly this array.

    Returns
    -------
    array of shape `sizes`
        In the machine's byte order.

    Raises
    ------
    ImageFileError
        If the file is truncated or damaged, or the machine has no memory for it.
    """
    count = math.prod(sizes) * dtype.itemsize
    check_total_memory(path.name, count)
    if is_compressed:
        content = bytearray(count)
        at = 0
        for piece in inflated(path, start, count):
            content[at : at + len(piece)] = piece
            at += len(piece)
    else:
        if path.stat().st_size - start < count:
            raise ImageFileError(f"{path.name} is truncated: it ends before its data does; copy or export it again.")
        content = read_range(path, start, count) if not _looks_gzipped(path) else _plain(path, start, count)
    array = np.frombuffer(content, dtype=dtype).reshape(sizes, order="F")
    return array.astype(dtype.newbyteorder("="), copy=False)


def choose_volume(volumes: NDArray[Any], volume_index: int | None, name: str) -> NDArray[Any]:
    """Take the only volume of (N, ...), or the wanted one.

    Raises
    ------
    ImageFileError
        If none is chosen of several, or there is no such one.
    """
    count = len(volumes)
    if volume_index is None and count > 1:
        raise SeveralVolumesError(
            f"{name} holds {count} volumes; choose one with --volume N (volume_index=N in Python), 0 to {count - 1}.",
            count,
        )
    index = volume_index or 0
    if not 0 <= index < count:
        held = f"{count}, 0 to {count - 1}" if count > 1 else "one volume, 0"
        raise ImageFileError(f"{name} has no volume {index}: it holds {held}.")
    chosen: NDArray[Any] = volumes[index]
    return chosen


def _looks_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _plain(path: Path, start: int, count: int) -> bytearray:
    """Bytes of a raw data file that by chance begin like gzip."""
    content = bytearray(count)
    with path.open("rb") as file:
        file.seek(start)
        file.readinto(content)
    return content
