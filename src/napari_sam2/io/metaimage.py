"""MetaImage in (``.mha``, ``.mhd``), by the fields that ITK's MetaIO writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.lps import affine_from_lps
from napari_sam2.io.payload import existing_file
from napari_sam2.io.raw_array import check_sizes, choose_volume, read_array

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["files_of_metaimage", "read_metaimage"]

_TYPES: Final = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LONGEST_HEADER: Final = 1 << 16
_COUNTED_ONCE: Final = frozenset({"NDims", "DimSize", "ElementType", "ElementNumberOfChannels", "CompressedData"})
"""Fields whose second mention with another value makes a header ambiguous."""


def read_metaimage(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a MetaImage volume.

    Raises
    ------
    ImageFileError
        If the file is damaged, or does not hold exactly one 3-D volume.
    """
    file = existing_file(path)
    header, payload_at = _header(file)
    data_file, start = _payload(file, header, payload_at)
    sizes, channels, dtype = _layout(file.name, header)
    is_compressed = _truth(header.get("CompressedData", "False"))
    stored = [channels, *sizes] if channels > 1 else sizes
    if start < 0:
        start = data_file.stat().st_size - int(np.prod(stored, dtype=np.int64)) * dtype.itemsize
        if start < 0:
            raise ImageFileError(f"{data_file.name} is truncated: it ends before its data does; copy it again.")
    voxels = read_array(data_file, start, stored, dtype, is_compressed=is_compressed)
    if channels > 1:
        voxels = np.moveaxis(voxels, 0, -1)
    voxels = _one_volume(voxels, len(sizes), channels, volume_index, file.name)
    hashed = (file,) if data_file == file else (file, data_file)
    source = Source(file.name, file.absolute(), sha256_of(*hashed), "metaimage", files=hashed)
    return Volume(voxels, _affine(header, len(sizes), file.name), True, source)


def files_of_metaimage(path: Path) -> tuple[Path, ...]:
    """Header and data file, or one file that is both.

    Raises
    ------
    ImageFileError
        If the header is damaged, or its data file is missing.
    """
    data_file, _ = _payload(path, *_header(path))
    return (path,) if data_file == path else (path, data_file)


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
        key, separator, value = (part.strip() for part in line.partition("="))
        if not separator:
            break
        if key in _COUNTED_ONCE and fields.get(key, value) != value:
            raise ImageFileError(f"{path.name} is damaged: its header states {key} twice; export it again.")
        fields[key] = value
        if key == "ElementDataFile":
            return fields, position
    raise ImageFileError(f"{path.name} is not a MetaImage file, whatever its name says; export it again.")


def _payload(file: Path, header: dict[str, str], payload_at: int) -> tuple[Path, int]:
    """The file with the voxels and where they begin; -1 means that they end with the file."""
    where = header["ElementDataFile"]
    if where in ("", "LIST") or "%" in where:
        raise ImageFileError(f"{file.name} does not name one file with its voxels; save it as one .mha file.")
    if not _truth(header.get("BinaryData", "True")):
        raise ImageFileError(f"{file.name} holds its voxels as text; save it with binary data.")
    if where.upper() == "LOCAL":
        return file, payload_at
    try:
        skipped = int(header.get("HeaderSize", "0"))
    except ValueError:
        skipped = -2
    if skipped < -1:
        raise ImageFileError(f"{file.name} is damaged: its HeaderSize is no number of bytes; export it again.")
    return existing_file(file.parent / where), skipped


def _layout(name: str, header: dict[str, str]) -> tuple[list[int], int, np.dtype[Any]]:
    """Sizes, channels and stored type."""
    try:
        sizes = [int(word) for word in header["DimSize"].split()]
        ndims = int(header.get("NDims", len(sizes)))
        channels = int(header.get("ElementNumberOfChannels", "1"))
        order = ">" if _truth(header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "F"))) else "<"
        dtype = np.dtype(order + _TYPES[header["ElementType"].removesuffix("_ARRAY")])
    except (KeyError, ValueError) as error:
        raise ImageFileError(f"{name} is damaged: its header lacks a usable type or size.") from error
    if header.get("ObjectType", "Image").lower() != "image":
        raise ImageFileError(f"{name} holds another object than an image ({header['ObjectType'][:32]}).")
    if ndims != len(sizes) or not 1 <= channels <= 1 << 16:
        raise ImageFileError(f"{name} is damaged: its NDims, DimSize and channels do not fit together.")
    check_sizes(sizes, name)
    return sizes, channels, dtype


def _one_volume(voxels: NDArray[Any], ndim: int, channels: int, volume_index: int | None, name: str) -> NDArray[Any]:
    """The (I, J, K) or (I, J, K, 3) array that was meant."""
    is_rgb = channels == 3 and voxels.dtype == np.uint8
    if ndim > 4 or (ndim == 4 and channels > 1):
        kind = "colour volumes" if is_rgb else "volumes of several channels"
        raise ImageFileError(f"{name} holds a series of {kind}; save one of them.")
    if ndim == 4 or (channels > 1 and not is_rgb):
        voxels = choose_volume(np.moveaxis(voxels, -1, 0), volume_index, name)
    elif volume_index not in (None, 0):
        raise ImageFileError(f"{name} has no volume {volume_index}: it holds one volume, 0.")
    return voxels[:, :, np.newaxis] if ndim == 2 else voxels


def _affine(header: dict[str, str], ndim: int, name: str) -> NDArray[np.float64]:
    """RAS+ affine: each row of TransformMatrix is the direction of one axis."""
    spatial = min(ndim, 3)
    matrix = _numbers(header, ("TransformMatrix", "Rotation", "Orientation"), ndim * ndim, name)
    origin = _numbers(header, ("Offset", "Position", "Origin"), ndim, name)
    spacing = _numbers(header, ("ElementSpacing", "ElementSize"), ndim, name)
    directions, place = np.eye(3), np.zeros(3)
    rows = np.eye(ndim) if matrix is None else matrix.reshape(ndim, ndim)
    steps = np.ones(ndim) if spacing is None else spacing
    directions[:spatial, :spatial] = rows[:spatial, :spatial].T * steps[:spatial]
    if origin is not None:
        place[:spatial] = origin[:spatial]
    return affine_from_lps(directions, place)


def _numbers(header: dict[str, str], keys: tuple[str, ...], count: int, name: str) -> NDArray[np.float64] | None:
    key = next((k for k in keys if k in header), None)
    if key is None:
        return None
    try:
        values = np.array([float(word) for word in header[key].split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise GeometryError(f"{name} is damaged: its {key} must be {count} numbers; export it again.")
    return values


def _truth(text: str) -> bool:
    return text[:1] in ("T", "t", "1")  # as MetaIO has it
