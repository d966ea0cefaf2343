"""NIfTI-1 and NIfTI-2 in, as a `Volume` in stored order.

nibabel parses the header; sizes, geometry and the voxels' type are then checked before any voxel is
read, and nothing stays mapped to the file. SimpleITK is not used: it reads truncated files as zeros.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError, SeveralVolumesError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.nifti_header import GridHeader, place
from napari_sam2.io.payload import check_memory, existing_file, peek, read_range

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FilmLayout", "files_of_nifti", "film_layout", "read_nifti"]

_HEADER_SIZES: Final = {1: 348, 2: 540}
_MAGIC_AT: Final = {1: slice(344, 348), 2: slice(4, 8)}
_MAGICS: Final = {
    b"n+1\x00": (1, True),
    b"ni1\x00": (1, False),
    b"n+2\x00": (2, True),
    b"ni2\x00": (2, False),
}
"""Magic string -> (version, header and voxels in one file)."""

_REAL_TYPES: Final = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOUR_TYPES: Final = {128: 3, 2304: 4}
_COMPLEX_TYPES: Final = frozenset({32, 1792, 2048})


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the wanted voxels lie in the data file, and how to read them."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float


def read_nifti(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a NIfTI file.

    Parameters
    ----------
    path : path-like
        ``.nii`` or ``.nii.gz`` (compression is found by content), or either file of a
        ``.hdr``/``.img`` pair.
    volume_index : int, optional
        Which volume of a file that holds several, counted from 0.

    Returns
    -------
    Volume
        Voxels (I, J, K) in the file's type and order, scaled if the header says so, or (I, J, K, 3)
        uint8 for RGB. `Source.header` is a `GridHeader`.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, not NIfTI, or holds something else than one 3-D volume.
    GeometryError
        If its geometry cannot be used.
    """
    header_path, data_path = _pair(existing_file(path))
    name = header_path.name
    header = _parse_header(header_path)
    grid = GridHeader.of(header)
    layout = _layout(header, name, data_path if data_path != header_path else None, volume_index)
    count = math.prod(layout.shape) * layout.dtype.itemsize
    check_memory(data_path, layout.offset + count)
    raw = np.frombuffer(read_range(data_path, layout.offset, count), dtype=layout.dtype)
    stored = raw.reshape(layout.shape, order="F")
    voxels = _as_colour(stored, name) if layout.dtype.fields else _scaled(stored, layout.slope, layout.inter)
    i, j, k = layout.shape
    placement = place(grid, (i, j, k), name)
    hashed = tuple(dict.fromkeys((header_path, data_path)))
    source = Source(
        name=name,
        path=header_path.absolute(),
        sha256=sha256_of(*hashed),
        file_format="nifti",
        header=grid,
        notes=(*placement.notes, *_non_finite_note(voxels)),
        files=hashed,
    )
    return Volume(voxels, placement.affine, placement.oriented, source)


@dataclass(frozen=True, slots=True)
class FilmLayout:
    """Where the frames of a NIfTI of x, y, 1, t lie.

    Attributes
    ----------
    shape : tuple of int
        (columns, rows, frames) as stored.
    dtype : dtype
        Of a stored voxel.
    offset : int
        Byte at which they begin.
    spacing : tuple of float, optional
        Between rows, then between columns, mm.
    seconds : float, optional
        From frame to frame.
    slope, inter : float
        Stored value to real value.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    spacing: tuple[float, float] | None
    seconds: float | None
    slope: float
    inter: float

    def voxels_of(self, stored: NDArray[Any], name: str) -> NDArray[Any]:
        """Real values (columns, rows, frames), or colours (..., 3), of stored ones."""
        return _as_colour(stored, name) if self.dtype.fields else _scaled(stored, self.slope, self.inter)


def film_layout(path: Path) -> FilmLayout | None:
    """The frames of a file of one slice over time.

    None when it is no such file.

    Raises
    ------
    ImageFileError
        As `read_nifti`.
    """
    header_path, data_path = _pair(path)
    if header_path != data_path:
        return None
    header = _parse_header(header_path)
    dims = [int(n) for n in header["dim"][: max(1, min(int(header["dim"][0]), 7)) + 1]]
    if len(dims) < 5 or dims[3] != 1 or dims[4] < 2 or any(n != 1 for n in dims[5:]):
        return None
    layout = _layout(header, header_path.name, None, 0)
    unit = int(header["xyzt_units"])
    millimetres = {1: 1000.0, 2: 1.0, 3: 0.001}.get(unit & 7)
    seconds = {8: 1.0, 16: 1e-3, 24: 1e-6}.get(unit & 56)
    col, row, step = (float(header["pixdim"][n]) for n in (1, 2, 4))
    spacing = (row * millimetres, col * millimetres) if millimetres and min(row, col) > 0 else None
    pause = step * seconds if seconds and step > 0 else None
    i, j, _ = layout.shape
    return FilmLayout((i, j, dims[4]), layout.dtype, layout.offset, spacing, pause, layout.slope, layout.inter)


def files_of_nifti(path: Path) -> tuple[Path, ...]:
    """Header and data file of a pair, or the one file.

    Raises
    ------
    ImageFileError
        If half of a pair is missing.
    """
    return tuple(dict.fromkeys(_pair(path)))


def _pair(path: Path) -> tuple[Path, Path]:
    """Header file and data file; the same one unless it is a .hdr/.img pair."""
    stem, suffix = path.name, ""
    for ending in (".hdr", ".img", ".hdr.gz", ".img.gz"):
        if path.name.lower().endswith(ending):
            stem, suffix = path.name[: -len(ending)], path.name[-len(ending) :]
    if not suffix:
        return path, path
    swapped = {"hdr": "img", "img": "hdr", "HDR": "IMG", "IMG": "HDR"}
    kind = suffix.split(".")[1]
    if kind not in swapped:
        return path, path
    for compression in ("", ".gz"):
        other = path.with_name(f"{stem}.{swapped[kind]}{compression}")
        if other.is_file():
            pair = (path, other) if kind.lower() == "hdr" else (other, path)
            existing_file(other)
            return pair
    raise ImageFileError(
        f"{path.name} is half of a pair: {stem}.{swapped[kind]} is missing; put both files into one folder."
    )


def _parse_header(path: Path) -> Any:
    import nibabel

    first = peek(path, _HEADER_SIZES[2])
    version = next((v for v, where in _MAGIC_AT.items() if first[where] in _MAGICS), None)
    if version is None:
        raise ImageFileError(_not_nifti(path.name, first))
    if len(first) < _HEADER_SIZES[version]:
        raise ImageFileError(f"{path.name} is truncated inside its header; copy or export it again.")
    # Unlike the single-file classes, the pair classes take any magic string; sizes are checked here anyway.
    kind = nibabel.nifti1.Nifti1PairHeader if version == 1 else nibabel.nifti2.Nifti2PairHeader
    # Without nibabel's own check, which repairs in silence and logs to stderr.
    # The block alone: extensions may name the patient, and are never looked at.
    size = _HEADER_SIZES[version]
    endian = next((e for e in "<>" if int(np.frombuffer(first[:4], f"{e}i4")[0]) == size), None)
    return kind(first[:size], endianness=endian, check=False)


def _not_nifti(name: str, first: bytes) -> str:
    if first[:4] in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c"):
        return (
            f"{name} is an ANALYZE 7.5 file, which does not say which side is left; convert the scan to "
            "NIfTI from its DICOM files."
        )
    return f"{name} is not a NIfTI file: its content is of another kind, whatever its name says; export it again."


def _layout(header: Any, name: str, separate_data: Path | None, volume_index: int | None) -> _Layout:
    shape, skipped_volumes = _spatial_shape(header, name, volume_index)
    dtype = _stored_dtype(header, name)
    offset = float(header["vox_offset"])
    if offset == 0 and separate_data is None:  # left out by some writers; the standard's default
        offset = 352.0 if int(header["sizeof_hdr"]) == 348 else 544.0
    smallest = 0 if separate_data is not None else int(header["sizeof_hdr"])
    if not math.isfinite(offset) or offset < smallest or offset != int(offset):
        raise ImageFileError(f"{name} is damaged: its header puts the voxels at byte {offset:g}; export it again.")
    volume_bytes = math.prod(shape) * dtype.itemsize
    slope, inter = _scaling(header, name)
    return _Layout(shape, dtype, int(offset) + skipped_volumes * volume_bytes, slope, inter)


def _spatial_shape(header: Any, name: str, volume_index: int | None) -> tuple[tuple[int, int, int], int]:
    """Shape (I, J, K), and how many volumes lie before the wanted one."""
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7:
        raise ImageFileError(f"{name} is damaged: its header announces {ndim} dimensions; export it again.")
    dims = [int(n) for n in header["dim"][1 : ndim + 1]]
    if min(dims) < 1:
        raise ImageFileError(f"{name} is damaged: its header announces the size {_times(dims)}; export it again.")
    if ndim == 1:
        raise ImageFileError(f"{name} holds a single row of {dims[0]} values, not an image.")
    spatial, further = [*dims, 1][:3], [n for n in dims[3:] if n > 1]
    i, j, k = spatial
    if len(further) > 1:
        raise ImageFileError(
            f"{name} has {len(dims)} dimensions ({_times(dims)}), so one number cannot choose a volume; "
            "split it into 3-D files first."
        )
    count = further[0] if further else 1
    if volume_index is None:
        if count > 1:
            raise SeveralVolumesError(
                f"{name} holds {count} volumes ({_times(dims)}); choose one with --volume N (volume_index=N "
                f"in Python), 0 to {count - 1}.",
                count,
            )
        volume_index = 0
    if not 0 <= volume_index < count:
        held = f"{count} volumes, 0 to {count - 1}" if count > 1 else "one volume, 0"
        raise ImageFileError(f"{name} has no volume {volume_index}: it holds {held}.")
    return (i, j, k), volume_index


def _stored_dtype(header: Any, name: str) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code in _REAL_TYPES:
        return np.dtype(_REAL_TYPES[code]).newbyteorder(header.endianness)
    if code in _COLOUR_TYPES:
        return np.dtype([(channel, "u1") for channel in "RGBA"[: _COLOUR_TYPES[code]]])
    if code in _COMPLEX_TYPES:
        raise ImageFileError(f"{name} holds complex numbers; save their magnitude as a NIfTI file and use that.")
    raise ImageFileError(
        f"{name} stores voxels in a type that is not supported (NIfTI datatype {code}); convert it to float32 or int16."
    )


def _scaling(header: Any, name: str) -> tuple[float, float]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # the standard: no scaling
        return 1.0, 0.0
    if not math.isfinite(inter):
        raise ImageFileError(f"{name} is damaged: its header scales the voxels by {slope:g} but adds {inter:g}.")
    return slope, inter


def _scaled(stored: NDArray[Any], slope: float, inter: float) -> NDArray[Any]:
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    if slope == 1.0 and inter == 0.0:
        return native
    small_int = native.dtype.kind in "iu" and native.dtype.itemsize <= 2
    if slope == 1.0 and small_int and inter == int(inter) and abs(inter) < 2**30:
        return native.astype(np.int32) + np.int32(inter)
    real = np.float32 if small_int or native.dtype == np.float32 else np.float64
    scaled = native.astype(np.float64) * slope + inter
    try:
        with np.errstate(over="raise"):
            return scaled.astype(real, copy=False)
    except FloatingPointError:  # beyond float32: infinity is not what the file says
        return scaled


def _as_colour(stored: NDArray[Any], name: str) -> NDArray[np.uint8]:
    channels = stored.dtype.names or ()
    if "A" in channels and (stored["A"] != 255).any():
        raise ImageFileError(f"{name} is partly transparent; save it without an alpha channel.")
    return np.stack([stored[channel] for channel in "RGB"], axis=-1)


def _non_finite_note(voxels: NDArray[Any]) -> tuple[str, ...]:
    if voxels.dtype.kind != "f":
        return ()
    count = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
    return (f"{count} voxels are not numbers or infinite; they are shown as black or white.",) if count else ()


def _times(dims: list[int]) -> str:
    return " x ".join(str(n) for n in dims)
