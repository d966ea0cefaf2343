"""FreeSurfer volumes in (``.mgh``, ``.mgz``)."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError, SeveralVolumesError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.payload import check_memory, existing_file, peek, read_range

if TYPE_CHECKING:
    import os

__all__ = ["read_mgh"]

_HEADER_BYTES = 284


def read_mgh(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a FreeSurfer volume.

    Raises
    ------
    ImageFileError
        If the file is damaged, or holds several volumes and none is chosen.
    """
    from nibabel.freesurfer.mghformat import MGHHeader

    file = existing_file(path)
    first = peek(file, _HEADER_BYTES)
    if len(first) < _HEADER_BYTES or first[:4] != b"\0\0\0\1":
        raise ImageFileError(f"{file.name} is not an MGH file, whatever its name says; export it again.")
    try:
        header: Any = MGHHeader.from_fileobj(io.BytesIO(first), check=False)
        dtype = header.get_data_dtype()
        affine = header.get_affine()
    except Exception as error:  # nibabel raises many kinds on a damaged header
        raise ImageFileError(f"{file.name} is damaged: its header cannot be read; export it again.") from error
    shape = [int(n) for n in header["dims"]]
    if min(shape) < 1:
        raise ImageFileError(f"{file.name} is damaged: its header announces the size {shape}; export it again.")
    count = shape[3]
    if volume_index is None and count > 1:
        raise SeveralVolumesError(
            f"{file.name} holds {count} volumes; choose one with --volume N (volume_index=N in Python), "
            f"0 to {count - 1}.",
            count,
        )
    index = volume_index or 0
    if not 0 <= index < count:
        raise ImageFileError(f"{file.name} has no volume {index}: it holds {count}, counted from 0.")
    volume_bytes = math.prod(shape[:3]) * dtype.itemsize
    offset = _HEADER_BYTES + index * volume_bytes
    check_memory(file, offset + volume_bytes)
    stored = np.frombuffer(read_range(file, offset, volume_bytes), dtype=dtype).reshape(shape[:3], order="F")
    voxels = stored.astype(dtype.newbyteorder("="), copy=False)
    oriented = int(header["goodRASFlag"]) == 1
    notes = () if oriented else ("The header states no orientation: left and right are unknown.",)
    source = Source(file.name, file.absolute(), sha256_of(file), "mgz", notes=notes, files=(file,))
    return Volume(voxels, affine, oriented, source)
