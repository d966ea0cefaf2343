"""MetaImage in (``.mha``, ``.mhd``), with the payload's size checked against the header."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Final

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.itk_image import read_with_itk
from napari_sam2.io.payload import existing_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["read_metaimage"]

_BYTES: Final = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
_LONGEST_HEADER: Final = 1 << 16
_CHUNK: Final = 1 << 20


def read_metaimage(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a MetaImage volume.

    Raises
    ------
    ImageFileError
        If the file is damaged, or does not hold exactly one 3-D volume.
    """
    file = existing_file(path)
    header, payload_at = _header(file)
    where = header.get("ElementDataFile", "")
    if where in ("", "LIST") or "%" in where:
        raise ImageFileError(f"{file.name} does not name one file with its voxels; save it as one .mha file.")
    data_file = file if where.upper() == "LOCAL" else existing_file(file.parent / where)
    try:
        count = math.prod(int(word) for word in header["DimSize"].split())
        itemsize = _BYTES[header["ElementType"].removesuffix("_ARRAY")]
        channels = int(header.get("ElementNumberOfChannels", 1))
        size = count * itemsize * channels
    except (KeyError, ValueError) as error:
        raise ImageFileError(f"{file.name} is damaged: its header lacks a usable type or size.") from error
    compressed = header.get("CompressedData", "False").lower() == "true"
    held = _held(data_file, payload_at if data_file == file else 0, compressed, size)
    if held < size:
        raise ImageFileError(f"{data_file.name} is truncated: it ends before its data does; copy or export it again.")
    voxels, affine = read_with_itk(file, volume_index)
    hashed = (file,) if data_file == file else (file, data_file)
    source = Source(file.name, file.absolute(), sha256_of(*hashed), "metaimage", files=hashed)
    return Volume(voxels, affine, True, source)


def _header(path: Path) -> tuple[dict[str, str], int]:
    with path.open("rb") as file:
        raw = file.read(_LONGEST_HEADER)
    fields: dict[str, str] = {}
    position = 0
    while position < len(raw):
        end = raw.find(b"\n", position)
        end = len(raw) if end < 0 else end
        line = raw[position:end].decode("utf-8", errors="replace")
        position = end + 1
        key, separator, value = line.partition("=")
        if not separator:
            break
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return fields, position
    raise ImageFileError(f"{path.name} is not a MetaImage file, whatever its name says; export it again.")


def _held(path: Path, start: int, compressed: bool, enough: int) -> int:
    """Count the decompressed bytes of the payload, up to a little more than `enough`."""
    if not compressed:
        return path.stat().st_size - start
    expander, held = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            while not expander.eof and held <= enough and (chunk := file.read(_CHUNK)):
                while chunk and held <= enough:
                    held += len(expander.decompress(chunk, _CHUNK))
                    chunk = expander.unconsumed_tail
    except zlib.error as error:
        raise ImageFileError(f"{path.name} is damaged: it cannot be decompressed; export it again.") from error
    return held
