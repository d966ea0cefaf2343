"""NRRD in (``.nrrd``, ``.nhdr``), by teem's definition of the format."""

from __future__ import annotations

import re
from dataclasses import dataclass
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

__all__ = ["NrrdArray", "files_of_nrrd", "nrrd_header", "read_nrrd", "read_nrrd_array"]

_TYPES: Final = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_TO_LPS: Final = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
"""Signs that turn a space's axes into LPS; other spaces say nothing of the patient."""

_SPATIAL_KINDS: Final = ("domain", "space", "???", "none", "unknown")
_COLOUR_KINDS: Final = ("rgb-color", "3-color", "vector", "3-vector")
_LONGEST_HEADER: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class NrrdArray:
    """A whole NRRD file.

    Attributes
    ----------
    voxels : (I, J, K, N) array
        N is 1 unless there is an axis of channels, layers or moments.
    affine : (4, 4) array
        Voxel to RAS+ mm.
    oriented : bool
        Whether the header says how it lies in the patient.
    is_colour : bool
        Whether the last axis is red, green, blue.
    files : tuple of Path
        Header, and the file with the voxels where it is another one.
    header : dict of str
        As `nrrd_header` has it.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    oriented: bool
    is_colour: bool
    files: tuple[Path, ...]
    header: dict[str, str]


def read_nrrd(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a NRRD volume.

    Raises
    ------
    ImageFileError
        If the file is damaged, or does not hold exactly one 3-D volume.
    """
    array = read_nrrd_array(path)
    file = array.files[0]
    if array.is_colour:
        if volume_index not in (None, 0):
            raise ImageFileError(f"{file.name} has no volume {volume_index}: it holds one volume, 0.")
        voxels = array.voxels
    else:
        voxels = choose_volume(np.moveaxis(array.voxels, -1, 0), volume_index, file.name)
    notes = () if array.oriented else ("The header states no orientation: left and right are unknown.",)
    source = Source(file.name, file.absolute(), sha256_of(*array.files), "nrrd", notes=notes, files=array.files)
    return Volume(voxels, array.affine, array.oriented, source)


def read_nrrd_array(path: str | os.PathLike[str]) -> NrrdArray:
    """Read everything that a NRRD file holds.

    Raises
    ------
    ImageFileError
        If the file is damaged, or of a kind that is not supported.
    GeometryError
        If its geometry cannot be used.
    """
    file = existing_file(path)
    name = file.name
    header, payload_at = nrrd_header(file)
    data_file = _data_file(file, header)
    try:
        sizes = [int(word) for word in header["sizes"].split()]
        dimension = int(header.get("dimension", len(sizes)))
        kind = _TYPES[header["type"].lower()]
    except (KeyError, ValueError) as error:
        raise ImageFileError(f"{name} is damaged: its header lacks a usable type or sizes.") from error
    check_sizes(sizes, name)
    if dimension != len(sizes):
        raise ImageFileError(f"{name} is damaged: its dimension and sizes do not fit together; export it again.")
    spatial = _spatial_axes(header, sizes, name)
    affine, oriented = _geometry(header, spatial, name)
    stored = _stored(name, header, data_file, payload_at if data_file == file else 0, sizes, _dtype(kind, header, name))
    others = [axis for axis in range(dimension) if axis not in spatial]
    voxels = np.transpose(stored, [*spatial, *others])
    if len(spatial) == 2:
        voxels = voxels[:, :, np.newaxis]
    if voxels.ndim == 3:
        voxels = voxels[..., np.newaxis]
    elif voxels.ndim > 4:
        longer = [n for n in voxels.shape[3:] if n > 1]
        if len(longer) > 1:
            raise ImageFileError(
                f"{name} has {dimension} axes, so one number cannot choose a volume; save one of them."
            )
        voxels = voxels.reshape(*voxels.shape[:3], -1)
    is_colour = voxels.shape[3] == 3 and voxels.dtype == np.uint8 and _is_colour(header, others)
    files = (file,) if data_file == file else (file, data_file)
    return NrrdArray(voxels, affine, oriented, is_colour, files, header)


def files_of_nrrd(path: Path) -> tuple[Path, ...]:
    """Header and data file, or one file that is both.

    Raises
    ------
    ImageFileError
        If the header is damaged, or its data file is missing.
    """
    data_file = _data_file(path, nrrd_header(path)[0])
    return (path,) if data_file == path else (path, data_file)


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
    if not re.match(rb"NRRD\d{4}\s", raw):
        raise ImageFileError(f"{path.name} is not a NRRD file, whatever its name says; export it again.")
    end, newline = min(
        ((raw.find(mark), mark) for mark in (b"\n\n", b"\r\n\r\n") if mark in raw), default=(len(raw), b"")
    )
    fields: dict[str, str] = {}
    for line in raw[:end].decode("utf-8", errors="replace").split("\n")[1:]:
        text = line.rstrip("\r")
        if text.startswith("#"):
            continue
        if ":=" in text:
            key, _, value = text.partition(":=")
            fields[key] = value
        elif ":" in text:
            key, _, value = text.partition(":")
            fields[key.strip().lower()] = value.strip()
    return fields, end + len(newline)


def _data_file(path: Path, header: dict[str, str]) -> Path:
    detached = header.get("data file") or header.get("datafile")
    if detached is None:
        return path
    if detached.startswith("LIST") or "%" in detached:
        raise ImageFileError(f"{path.name} spreads its voxels over several files; save it as one .nrrd file.")
    return existing_file(path.parent / detached)


def _dtype(kind: str, header: dict[str, str], name: str) -> np.dtype[Any]:
    endian = header.get("endian", "").lower()
    if kind.endswith("1"):
        return np.dtype(kind)
    if endian not in ("little", "big"):
        raise ImageFileError(f"{name} is damaged: its header does not say its byte order (endian); export it again.")
    return np.dtype(("<" if endian == "little" else ">") + kind)


def _stored(
    name: str, header: dict[str, str], data_file: Path, start: int, sizes: list[int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    encoding = header.get("encoding", "raw").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ImageFileError(f"{name} is encoded as {encoding}; save it with gzip or raw encoding.")
    try:
        lines = int(header.get("line skip", header.get("lineskip", "0")))
        skipped = int(header.get("byte skip", header.get("byteskip", "0")))
    except ValueError as error:
        raise ImageFileError(f"{name} is damaged: what to skip is no number; export it again.") from error
    if lines or skipped < -1 or (skipped and encoding != "raw"):
        raise ImageFileError(
            f"{name} skips a part of its data file, which is not read here; save it as one .nrrd file."
        )
    if skipped == -1:
        start = data_file.stat().st_size - int(np.prod(sizes, dtype=np.int64)) * dtype.itemsize
        if start < 0:
            raise ImageFileError(f"{data_file.name} is truncated: it ends before its data does; copy it again.")
    else:
        start += skipped
    return read_array(data_file, start, sizes, dtype, is_compressed=encoding != "raw")


def _spatial_axes(header: dict[str, str], sizes: list[int], name: str) -> list[int]:
    """Axes that lie in space: those with a direction, else those whose kind does not say otherwise."""
    n = len(sizes)
    vectors = _vectors(header.get("space directions", ""))
    kinds = header.get("kinds", "").lower().split()
    if vectors:
        if len(vectors) != n:
            raise GeometryError(f"{name} is damaged: it has {len(vectors)} space directions for {n} axes.")
        spatial = [axis for axis in range(n) if vectors[axis] is not None]
    else:
        spatial = [axis for axis in range(n) if len(kinds) != n or kinds[axis] in _SPATIAL_KINDS]
    if len(spatial) > 3:
        spatial = spatial[:3]
    if not 2 <= len(spatial) <= 3:
        raise ImageFileError(f"{name} has {len(spatial)} axes in space; an image has 2 or 3.")
    return spatial


def _geometry(header: dict[str, str], spatial: list[int], name: str) -> tuple[NDArray[np.float64], bool]:
    signs = _TO_LPS.get(header.get("space", "").lower().removesuffix("-time").strip())
    directions, origin = np.eye(3), np.zeros(3)
    vectors = _vectors(header.get("space directions", ""))
    if vectors:
        columns = [vectors[axis] for axis in spatial]
        for column, vector in enumerate(columns):
            # ITK gives a fourth component, of time, to each axis of a series.
            if vector is None or not len(spatial) <= len(vector) <= 4 or not np.isfinite(vector).all():
                raise GeometryError(f"{name} is damaged: its space directions are no vectors; export it again.")
            directions[:, column] = 0
            directions[: len(vector[:3]), column] = vector[:3]
        start = _vectors(header.get("space origin", ""))
        if start:
            place = start[0]
            if place is None or not 1 <= len(place) <= 4 or not np.isfinite(place).all():
                raise GeometryError(f"{name} is damaged: its space origin is no place; export it again.")
            origin[: len(place[:3])] = place[:3]
    else:
        steps = _per_axis(header, "spacings", spatial)
        for column, step in enumerate(steps):
            directions[column, column] = step if np.isfinite(step) and step > 0 else 1.0
        for column, least in enumerate(_per_axis(header, "axis mins", spatial)):
            origin[column] = least if np.isfinite(least) else 0.0
    if signs is not None:
        directions, origin = directions * np.array(signs)[:, None], origin * np.array(signs)
    return affine_from_lps(directions, origin), signs is not None and bool(vectors)


def _per_axis(header: dict[str, str], key: str, spatial: list[int]) -> list[float]:
    words = header.get(key, header.get(key.replace(" ", ""), "")).split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        return []
    return [values[axis] for axis in spatial] if len(values) > max(spatial) else []


def _vectors(text: str) -> list[NDArray[np.float64] | None]:
    """Vectors as ``(1,0,0) none (0,1,0)``; a vector that is none of numbers is empty."""
    vectors: list[NDArray[np.float64] | None] = []
    for part in re.findall(r"none|\([^)]*\)", text):
        if part == "none":
            vectors.append(None)
            continue
        try:
            vectors.append(np.array([float(word) for word in part.strip("()").split(",")]))
        except ValueError:
            vectors.append(np.zeros(0))
    return vectors


def _is_colour(header: dict[str, str], others: list[int]) -> bool:
    """Whether the axis beside space is stated to be one of colours."""
    kinds = header.get("kinds", "").lower().split()
    return any(axis < len(kinds) and kinds[axis] in _COLOUR_KINDS for axis in others)
