"""Films in: pictures over time.

From DICOM clips, NIfTI of one slice over time, TIFF stacks, GIF and videos.

A stack is a film when its file says so (an axis of time, a clip without places, a GIF) and never by a guess: a
stack along z is a volume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError, NapariSam2Error
from napari_sam2.hashing import sha256_of
from napari_sam2.io.payload import check_claim, check_memory, check_total_memory, existing_file, peek, read_range
from napari_sam2.io.photometric import samples_of, to_8_bits
from napari_sam2.io.resolution import mpp_from_imagej, mpp_from_ome
from napari_sam2.io.tiff_pages import check_alike
from napari_sam2.io.video import UNEVEN, container_of, read_video
from napari_sam2.io.zarr_store import is_zarr

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["Film", "film_volume", "read_film", "read_film_volume"]

_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GIF: Final = (b"GIF87a", b"GIF89a")


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """Frames in the order of time.

    Attributes
    ----------
    frames : (T, rows, columns) or (T, rows, columns, 3) array
        Grey values as stored, or RGB in uint8 scaled as one for the whole film.
    spacing_mm : tuple of float, optional
        Between rows, then between columns, where the file states it.
    seconds : float, optional
        From one frame to the next, where the file states it.
    notes : tuple of str
        Sentences about odd things, for the person to see.
    files : tuple of Path
        What it was read from, where that is more than the file that was named.
    """

    frames: NDArray[Any]
    spacing_mm: tuple[float, float] | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def mpp(self) -> Mpp | None:
        """Microns per pixel, where the file states a spacing."""
        return None if self.spacing_mm is None else Mpp(1000 * self.spacing_mm[0], 1000 * self.spacing_mm[1], "file")


def read_film(path: str | os.PathLike[str]) -> Film | None:
    """Read a film; None when the file is none.

    Parameters
    ----------
    path : path-like
        Multi-frame DICOM whose frames have no places in the patient (ultrasound, angiography, secondary capture);
        NIfTI of x, y, 1, t; TIFF with an axis of time, or of pages of one size without a meaning of their own; GIF;
        OME-Zarr with an axis of time;
        AVI, MP4, MOV, Matroska and WebM.

    Raises
    ------
    ImageFileError
        If it is a film and damaged.
    EnvironmentLacksError
        If a decoder is missing.
    """
    if is_zarr(path):
        from napari_sam2.io.film_zarr import read_zarr_film

        return read_zarr_film(Path(path))
    file = existing_file(path)
    first = peek(file, 540)
    container = container_of(first)
    if container is not None:
        frames, seconds, notes = read_video(file, container)
        return Film(frames, None, seconds, notes) if len(frames) > 1 else None
    if first.startswith(_GIF):
        return _of_gif(file)
    if first[344:347] in (b"n+1", b"ni1") or first[4:7] in (b"n+2", b"ni2"):
        return _of_nifti(file)
    from napari_sam2.io.dicom_series import begins_dicom

    if first[128:132] == b"DICM" or (begins_dicom(first) and not first.startswith(_TIFF)):
        return _of_dicom(file)
    return _of_tiff(file) if first.startswith(_TIFF) else None


def read_film_volume(path: str | os.PathLike[str]) -> tuple[Film, Volume]:
    """Read a film as a volume whose third axis is time.

    Raises
    ------
    ImageFileError
        If the file is damaged, or no film.
    EnvironmentLacksError
        If a decoder is missing.
    """
    file = Path(path) if is_zarr(path) else existing_file(path)
    film = read_film(file)
    if film is None:
        raise ImageFileError(
            f"{file.name} is no film: it holds one picture, or slices at places; use 'napari-sam2 segment' for scans "
            "and 'napari-sam2 slide' for pictures."
        )
    return film, film_volume(film, file)


def film_volume(film: Film, file: Path) -> Volume:
    """The volume of a film.

    Voxels are (columns, rows, frames[, 3]); spacing is in mm where it is known, else 1.
    """
    row, col = film.spacing_mm or (1.0, 1.0)
    files = film.files or (file,)
    is_dicom = file.is_file() and peek(file, 132)[128:] == b"DICM"  # names may tell a person's, `Source.public_name`
    kind = "dicom" if is_dicom else "film"
    source = Source(file.name, file.absolute(), sha256_of(*files), kind, notes=film.notes, files=files)
    voxels = np.moveaxis(film.frames, (2, 1, 0), (0, 1, 2))
    return Volume(voxels, np.diag([col, row, 1.0, 1.0]), oriented=False, source=source)


def _of_dicom(file: Path) -> Film | None:
    from napari_sam2.io.dicom import read_frames

    clip = read_frames(file)
    if clip is None:
        return None
    frames, spacing, milliseconds, notes = clip
    return Film(frames, spacing, None if milliseconds is None else milliseconds / 1000, notes)


def _of_nifti(file: Path) -> Film | None:
    from napari_sam2.io.nifti import film_layout

    layout = film_layout(file)
    if layout is None:
        return None
    count = math.prod(layout.shape) * layout.dtype.itemsize
    check_memory(file, layout.offset + count)
    stored = np.frombuffer(read_range(file, layout.offset, count), dtype=layout.dtype).reshape(layout.shape, order="F")
    frames = layout.voxels_of(stored, file.name)
    return Film(np.moveaxis(frames, (2, 1, 0), (0, 1, 2)), layout.spacing, layout.seconds)


def _of_tiff(file: Path) -> Film | None:
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            series = tiff.series[0]
            axis = _time_axis(series.axes, series.shape)
            if axis is None:
                return None
            notes = _other_pages(tiff, file.name)
            if np.dtype(series.dtype).kind == "c":
                raise ImageFileError(f"{file.name} holds complex numbers; save their magnitude and use that.")
            size = math.prod(series.shape) * np.dtype(series.dtype).itemsize
            check_total_memory(file.name, size)
            if not series.is_multifile:
                check_claim(file, size)
            check_alike(tiff, file.name)
            samples = samples_of(series.keyframe, file.name)
            stack = np.moveaxis(series.asarray(), axis, 0)
            rest = series.axes[:axis] + series.axes[axis + 1 :]
            seconds = _seconds((tiff.imagej_metadata or {}).get("finterval"))
            mpp = mpp_from_ome(tiff.ome_metadata or "") if tiff.is_ome else mpp_from_imagej(tiff, series.keyframe.tags)
    except NapariSam2Error:
        raise
    except Exception as error:  # tifffile and its codecs raise many kinds on damaged files
        raise ImageFileError(f"{file.name} is damaged, or compressed in a way that is not supported.") from error
    while len(rest) > 2 and rest[0] not in "YXS":
        notes.append(f"{file.name} has {stack.shape[1]} planes along {rest[0]} in each frame; the first one is read.")
        stack, rest = stack[:, 0], rest[1:]
    order = [rest.index("Y") + 1, rest.index("X") + 1, *([rest.index("S") + 1] if "S" in rest else [])]
    stack = np.transpose(stack, [0, *order])
    pixels = np.stack([samples.apply(f if f.ndim == 3 else f[..., np.newaxis]) for f in stack])
    frames = pixels[..., 0] if pixels.shape[-1] == 1 else to_8_bits(pixels)
    spacing = None if mpp is None else (mpp.row / 1000, mpp.col / 1000)
    return Film(frames, spacing, seconds, tuple(notes))


def _other_pages(tiff: Any, name: str) -> list[str]:
    """A note on pictures that are no frames; refused where they lie between the frames.

    tifffile takes pages of one size and type for a series, and leaves out others without a word.
    """
    if len(tiff.series) < 2 or tiff.is_ome or tiff.is_imagej:
        return []
    frames = [page.index for page in tiff.series[0].pages if page is not None]
    others = [page.index for series in tiff.series[1:] for page in series.pages if page is not None]
    if any(min(frames) < index < max(frames) for index in others):
        raise ImageFileError(
            f"{name} holds pages of other sizes or types between its frames; export them with one size and type."
        )
    return [f"{name} holds {len(others)} more pages of another size or type, which are no frames; they are left out."]


def _seconds(stated: Any) -> float | None:
    try:
        seconds = float(stated)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < math.inf else None


def _time_axis(axes: str, shape: tuple[int, ...]) -> int | None:
    """The axis of frames: T, or pages that a plain TIFF gives no meaning to."""
    if not {"Y", "X"} <= set(axes):
        return None
    for letter in "TIQ":
        if letter in axes and shape[axes.index(letter)] > 1:
            return axes.index(letter)
    return None


def _of_gif(file: Path) -> Film | None:
    from PIL import Image, ImageSequence

    if not file.read_bytes().rstrip(b"\0\r\n").endswith(b";"):  # its trailer; Pillow reads what is left without a word
        raise ImageFileError(f"{file.name} is truncated: it ends before its frames do; copy or export it again.")
    try:
        with Image.open(file, formats=("GIF",)) as image:
            count = getattr(image, "n_frames", 1)
            if count < 2:
                return None
            check_total_memory(file.name, count * image.height * image.width * 3)
            shown = [(np.asarray(f.convert("RGB")), f.info.get("duration") or 0) for f in ImageSequence.Iterator(image)]
            frames, milliseconds = np.stack([frame for frame, _ in shown]), [duration for _, duration in shown]
    except NapariSam2Error:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"{file.name} is damaged or truncated; copy or export it again.") from error
    if (frames == frames[..., :1]).all():
        frames = frames[..., 0]
    if len(set(milliseconds)) > 1:
        return Film(frames, notes=(UNEVEN.format(name=file.name),))
    return Film(frames, None, milliseconds[0] / 1000 if milliseconds[0] else None)
