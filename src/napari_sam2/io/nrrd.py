"""NRRD in (``.nrrd``, ``.nhdr``), with the payload's size checked against the header.

SimpleITK decodes the voxels. It reads a file that ends early as zeros, so the header is parsed here
first: sizes, space, and how many bytes there have to be.
"""

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

__all__ = ["nrrd_header", "read_nrrd"]

_BYTES: Final = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), 8),
    "float": 4,
    "double": 8,
}
_LONGEST_HEADER: Final = 1 << 20
_CHUNK: Final = 1 << 20


def read_nrrd(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a NRRD volume.

    Raises
    ------
    ImageFileError
        If the file is damaged, or does not hold exactly one 3-D volume.
    """
    file = existing_file(path)
    header, payload_at = nrrd_header(file)
    name = file.name
    data_file = _data_file(file, header)
    try:
        sizes = [int(word) for word in header["sizes"].split()]
        itemsize = _BYTES[header["type"].lower()]
    except (KeyError, ValueError) as error:
        raise ImageFileError(f"{name} is damaged: its header lacks a usable type or sizes.") from error
    _check_payload(data_file, payload_at if data_file == file else 0, header, math.prod(sizes) * itemsize)
    voxels, affine = read_with_itk(file, volume_index)
    oriented = "space" in header and "space directions" in header
    notes = () if oriented else ("The header states no orientation: left and right are unknown.",)
    hashed = (file,) if data_file == file else (file, data_file)
    source = Source(name, file.absolute(), sha256_of(*hashed), "nrrd", notes=notes, files=hashed)
    return Volume(voxels, affine, oriented, source)


def nrrd_header(path: Path) -> tuple[dict[str, str], int]:
    """Parse the text header.

    Returns
    -------
    fields : dict of str
        Fields by lower-case name; key/value pairs (``key:=value``) keep their case.
    payload_at : int
        Byte at which attached data begin.
    """
    with path.open("rb") as file:
        raw = file.read(_LONGEST_HEADER)
    if not raw.startswith(b"NRRD"):
        raise ImageFileError(f"{path.name} is not a NRRD file, whatever its name says; export it again.")
    end, newline = min(
        ((raw.find(mark), mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in raw), default=(len(raw), b"")
    )
    fields: dict[str, str] = {}
    for line in raw[:end].decode("utf-8", errors="replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        if ":=" in line:
            key, _, value = line.partition(":=")
            fields[key] = value
        elif ":" in line:
            key, _, value = line.partition(":")
            fields[key.strip().lower()] = value.strip()
    return fields, end + len(newline)


def _data_file(path: Path, header: dict[str, str]) -> Path:
    detached = header.get("data file") or header.get("datafile")
    if detached is None:
        return path
    if detached.startswith("LIST") or "%" in detached:
        raise ImageFileError(f"{path.name} spreads its voxels over several files; save it as one .nrrd file.")
    return existing_file(path.parent / detached)


def _check_payload(path: Path, start: int, header: dict[str, str], needed: int) -> None:
    encoding = header.get("encoding", "raw").lower()
    truncated = ImageFileError(f"{path.name} is truncated: it ends before its data does; copy or export it again.")
    if encoding == "raw":
        if path.stat().st_size - start < needed:
            raise truncated
        return
    if encoding not in ("gzip", "gz"):
        raise ImageFileError(f"{path.name} is encoded as {encoding}; save it with gzip or raw encoding.")
    expander, held = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            while not expander.eof and (chunk := file.read(_CHUNK)):
                while chunk and held <= needed:  # bounded pieces: a small file may expand without end
                    held += len(expander.decompress(chunk, _CHUNK))
                    chunk = expander.unconsumed_tail
    except zlib.error as error:
        raise ImageFileError(f"{path.name} is damaged: it cannot be decompressed; export it again.") from error
    if held > needed:
        raise ImageFileError(f"{path.name} is damaged: it holds more data than its header announces.")
    if held < needed or not expander.eof:
        raise truncated
