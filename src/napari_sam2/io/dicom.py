"""DICOM images in.

A series of files, or one multi-frame file, as a volume in real values.

pydicom reads the tags of all files first; pixels are decoded one slice at a time, after the geometry
was accepted and the memory is known to suffice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import EnvironmentLacksError, ImageFileError, NapariSam2Error
from napari_sam2.hashing import sha256_of
from napari_sam2.io.dicom_frames import check_announced, check_length
from napari_sam2.io.dicom_series import choose_series, find_series, invalid_tags, quiet, read_dataset
from napari_sam2.io.dicom_stack import Slice, Stack, slices_of, stack
from napari_sam2.io.payload import check_total_memory

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["DicomSource", "read_dicom", "read_frames"]

_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
_COLOUR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True, slots=True)
class DicomSource:
    """What a DICOM SEG needs to know of its source.

    Attributes
    ----------
    slices : tuple of Slice
        Files and frames in order of k.
    """

    slices: tuple[Slice, ...]


def read_dicom(
    path: str | os.PathLike[str], *, series: str | int | None = None, volume_index: int | None = None
) -> Volume:
    """Read a DICOM series or file.

    Parameters
    ----------
    path : path-like
        A folder (with folders in it), or one file.
    series : str or int, optional
        Which of several series: its place in the list of the error message, or its UID.
    volume_index : int, optional
        Which volume of a series that images each place several times, counted from 0.

    Returns
    -------
    Volume
        Voxels (columns, rows, slices), slices by rising position along their normal, as ITK has them;
        rescaled to real values (HU for CT). `Source.header` is a `DicomSource`.

    Raises
    ------
    ImageFileError
        If there is no image, several series, or slices are missing, doubled, damaged or of another size.
    GeometryError
        If the slices are not one regular grid.
    EnvironmentLacksError
        If pydicom or a decoder for the file's compression is not installed.
    """
    place = Path(path)
    chosen = choose_series(find_series(place), series, place.name)
    with quiet():
        planes = [s for file, tags in chosen.datasets for s in _planes(file, tags)]
        stacked = stack(planes, volume_index, place.name)
        photometric, is_burned_in = _pixel_facts(chosen.datasets)
    notes = [*stacked.notes, *_notes(photometric, is_burned_in, place.name)]
    if chosen.copies:
        notes.append(f"{chosen.copies} files are copies of others and were left out.")
    voxels = _voxels(stacked, place.name, is_colour=photometric <= set(_COLOUR))
    files = sorted({s.path for s in stacked.slices})
    source = Source(
        name=place.name,
        path=place.absolute(),
        sha256=sha256_of(*files),
        file_format="dicom",
        modality=chosen.modality,
        header=DicomSource(stacked.slices),
        notes=tuple(notes),
        files=tuple(files),
    )
    return Volume(voxels, stacked.affine, stacked.oriented, source)


def read_frames(
    path: Path,
) -> tuple[NDArray[Any], tuple[float, float] | None, float | None, tuple[str, ...]] | None:
    """The frames of a clip.

    One file whose images have an order in time but no place in the patient.

    Returns
    -------
    frames : (T, rows, columns) or (T, rows, columns, 3) array
    spacing : tuple of float or None
        Between rows and between columns, mm.
    milliseconds : float or None
        From frame to frame.
    notes : tuple of str
    None
        Instead of these, when the file is no clip.
    """
    (path, tags), *more = find_series(path)[0].datasets
    with quiet():
        planes = _planes(path, tags)
        if more or len(planes) < 2 or all(p.position is not None and p.orientation is not None for p in planes):
            return None
        photometric, is_burned_in = _pixel_facts([(path, tags)])
        milliseconds = _frame_time(path, tags)
    notes = _notes(photometric, is_burned_in, path.name)
    stack = Stack(tuple(planes), np.eye(4), False, ())
    voxels = _voxels(stack, path.name, is_colour=photometric <= set(_COLOUR))
    frames = np.moveaxis(voxels, (2, 1, 0), (0, 1, 2))
    spacing = planes[0].spacing
    return frames, None if spacing is None else (spacing[0], spacing[1]), milliseconds, tuple(notes)


def _frame_time(path: Path, tags: Any) -> float | None:
    """Milliseconds from frame to frame, where they are stated."""
    try:
        stated = tags.get("FrameTime")
        milliseconds = None if stated in (None, "") else float(stated)
    except Exception as error:  # values are converted here, and pydicom raises many kinds
        raise invalid_tags(path, tags) from error
    return milliseconds if milliseconds is not None and 0 < milliseconds < float("inf") else None


def _planes(path: Path, tags: Any) -> list[Slice]:
    try:
        check_announced(path, tags)
        return slices_of(path, tags)
    except NapariSam2Error:
        raise
    except Exception as error:  # values are converted here, and pydicom raises many kinds
        raise invalid_tags(path, tags) from error


def _pixel_facts(datasets: Sequence[tuple[Path, Any]]) -> tuple[set[str], bool]:
    """All photometric interpretations, and whether any file declares text in its pixels."""
    photometric: set[str] = set()
    is_burned_in = False
    for path, tags in datasets:
        try:
            photometric.add(str(tags.get("PhotometricInterpretation", "")))
            is_burned_in |= tags.get("BurnedInAnnotation") == "YES"
        except Exception as error:  # values are converted here, and pydicom raises many kinds
            raise invalid_tags(path, tags) from error
    return photometric, is_burned_in


def _notes(photometric: set[str], is_burned_in: bool, name: str) -> list[str]:
    for kind in photometric:
        if kind not in (*_GREY, *_COLOUR):
            raise ImageFileError(f"{name} stores {kind[:16] or 'unknown'} pixels; export it as grey or RGB.")
    if len(photometric) > 1:
        raise ImageFileError(f"{name} mixes {' and '.join(sorted(photometric))} images; choose one kind.")
    notes = []
    if "MONOCHROME1" in photometric:
        notes.append("Low values are meant to be bright (MONOCHROME1); the values are kept as they are.")
    if is_burned_in:
        notes.append("The files declare text burned into the pixels, which may name the patient.")
    return notes


def _voxels(stacked: Stack, name: str, *, is_colour: bool) -> NDArray[Any]:
    rows, columns = stacked.slices[0].shape
    rescales = {(s.slope, s.intercept) for s in stacked.slices}
    exact = all(slope == 1.0 and inter == int(inter) and abs(inter) < 2**30 for slope, inter in rescales)
    dtype = np.uint8 if is_colour else np.int32 if exact else np.float32
    shape = (columns, rows, len(stacked.slices), 3) if is_colour else (columns, rows, len(stacked.slices))
    check_total_memory(name, math.prod(shape) * np.dtype(dtype).itemsize)
    voxels = np.zeros(shape, dtype, order="F" if not is_colour else "C")
    opened: tuple[Path, Any] | None = None
    for k, plane in enumerate(stacked.slices):
        if opened is None or opened[0] != plane.path:
            opened = (plane.path, _open(plane.path))
            check_length(opened[1], plane.label)
        pixels = _decode(opened[1], plane, is_colour)
        if is_colour:
            voxels[:, :, k] = pixels.transpose(1, 0, 2)
        elif exact:
            voxels[:, :, k] = pixels.T.astype(np.int32) + np.int32(plane.intercept)
        else:
            voxels[:, :, k] = pixels.T * plane.slope + plane.intercept
    return _narrowed(voxels)


def _narrowed(voxels: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers as int16 where they fit: half the memory."""
    if voxels.dtype != np.int32:
        return voxels
    limits = np.iinfo(np.int16)
    fits = limits.min <= voxels.min() and voxels.max() <= limits.max
    return voxels.astype(np.int16) if fits else voxels


def _open(path: Path) -> Any:
    try:
        with quiet():
            return read_dataset(path)
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageFileError(f"{path.name} is damaged and cannot be read; copy it again.") from error


def _decode(dataset: Any, plane: Slice, is_colour: bool) -> NDArray[Any]:
    from pydicom.pixels import pixel_array

    if "PixelData" not in dataset:
        raise ImageFileError(f"{plane.label} holds no pixels; export it again.")
    try:
        with quiet():
            pixels = np.asarray(pixel_array(dataset, index=plane.frame))
    except (RuntimeError, NotImplementedError) as error:
        if "Unable to" in str(error) or isinstance(error, NotImplementedError):
            raise EnvironmentLacksError(
                f"{plane.label} is compressed in a way that needs another decoder; install it with: "
                "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
            ) from error
        raise _damaged(plane) from error
    except Exception as error:
        raise _damaged(plane) from error
    expected = (*plane.shape, 3) if is_colour else plane.shape
    if pixels.shape != expected:
        raise _damaged(plane)
    if is_colour and pixels.dtype != np.uint8:
        raise ImageFileError(f"{plane.label} has colours with more than 8 bits; export it with 8 bits.")
    return pixels


def _damaged(plane: Slice) -> ImageFileError:
    return ImageFileError(f"{plane.label} is truncated or damaged: its pixels cannot be decoded; copy it again.")
