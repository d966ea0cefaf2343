"""Flat pictures in.

PNG, JPEG and TIFF as a volume of one slice, (rows, columns, 1[, 3]).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.payload import check_claim, existing_file
from napari_sam2.io.photometric import colour_range, over_white, samples_of, to_8_bits

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["channels_last", "read_picture"]

LARGEST_PIXELS: Final = 2**28
"""A picture of 16k x 16k; larger ones are slides and need a pyramid."""


def read_picture(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a picture.

    Parameters
    ----------
    path : path-like
        PNG, JPEG or TIFF, of grey, RGB, indexed or CMYK colours; transparent places become white.
    volume_index : int, optional
        Which page of a TIFF file with several, counted from 0.

    Returns
    -------
    Volume
        (rows, columns, 1), or (rows, columns, 1, 3) uint8; spacing 1, orientation unknown.

    Raises
    ------
    ImageFileError
        If the picture is damaged, too large, or of a kind that is not supported.
    """
    file = existing_file(path)
    with file.open("rb") as stream:
        is_tiff = stream.read(2) in (b"II", b"MM")
    pixels = _read_tiff(file, volume_index) if is_tiff else _read_png_or_jpeg(file, volume_index)
    pixels, notes = _grey_or_colour(pixels, file.name)
    source = Source(file.name, file.absolute(), sha256_of(file), "picture", notes=notes, files=(file,))
    return Volume(pixels[:, :, np.newaxis], np.eye(4), oriented=False, source=source)


def _read_png_or_jpeg(path: Path, volume_index: int | None) -> NDArray[Any]:
    from PIL import Image

    if volume_index not in (None, 0):
        raise ImageFileError(f"{path.name} has no volume {volume_index}: it is a single picture.")
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:  # only these: other decoders had holes
            _check_size(path.name, image.height, image.width)
            if image.mode == "1":
                return np.array(image.convert("L"))
            if image.mode in ("P", "PA", "CMYK", "YCbCr", "LA"):
                has_alpha = image.mode in ("PA", "LA") or "transparency" in image.info
                return np.array(image.convert("RGBA" if has_alpha else "RGB"))
            return np.array(image)
    except ImageFileError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"{path.name} is damaged or truncated; copy or export it again.") from error


def _read_tiff(path: Path, volume_index: int | None) -> NDArray[Any]:
    import tifffile

    logging.getLogger("tifffile").disabled = True  # what matters of it becomes the error below
    try:
        with tifffile.TiffFile(path) as tiff:
            count = len(tiff.pages)
            if volume_index is None and count > 1:
                raise ImageFileError(
                    f"{path.name} holds {count} pictures; choose one with --volume N (volume_index=N in "
                    f"Python), 0 to {count - 1}."
                )
            index = volume_index or 0
            if not 0 <= index < count:
                raise ImageFileError(f"{path.name} has no picture {index}: it holds {count}, counted from 0.")
            page = tiff.pages[index]
            _check_size(path.name, page.imagelength, page.imagewidth)
            check_claim(path, page.imagelength * page.imagewidth * page.samplesperpixel * page.bitspersample // 8)
            samples = samples_of(page, path.name)
            return samples.apply(channels_last(page.asarray(), page.axes, path.name))
    except ImageFileError:
        raise
    except Exception as error:  # tifffile and its codecs raise many kinds on damaged files
        raise ImageFileError(f"{path.name} is damaged, or compressed in a way that is not supported.") from error


def _check_size(name: str, rows: int, columns: int) -> None:
    if rows * columns > LARGEST_PIXELS:
        raise ImageFileError(
            f"{name} has {columns} x {rows} pixels, more than a flat picture may have here; crop it, or "
            "open it as a slide."
        )


def channels_last(stored: NDArray[Any], axes: str, name: str) -> NDArray[Any]:
    """Pixels of a TIFF page as (rows, columns, samples).

    Samples may be stored together or apart.

    Raises
    ------
    ImageFileError
        If the page has other axes than rows, columns and samples.
    """
    if axes == "YX":
        return stored[..., np.newaxis]
    if sorted(axes) != ["S", "X", "Y"]:
        raise ImageFileError(f"{name} has the axes {axes} and the shape {stored.shape}; a flat picture is needed.")
    return np.transpose(stored, [axes.index(a) for a in "YXS"])


def _grey_or_colour(pixels: NDArray[Any], name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Grey (rows, columns), or RGB (rows, columns, 3) uint8, and what had to be done for it."""
    if pixels.ndim == 2:
        return pixels, ()
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise ImageFileError(f"{name} has the shape {pixels.shape}; a grey or RGB picture is needed.")
    notes = []
    if pixels.shape[2] in (2, 4):
        laid = over_white(pixels[..., :-1], pixels[..., -1:])
        if not np.shares_memory(laid, pixels):
            notes.append("The picture is partly transparent; these places are shown white.")
        pixels = laid
    if pixels.shape[2] == 1:
        return pixels[..., 0], tuple(notes)
    if pixels.dtype != np.uint8:
        full = colour_range(pixels)
        notes.append(f"The colours are of type {pixels.dtype}; {full:g} is taken as full colour, and 8 bits are kept.")
        pixels = to_8_bits(pixels, full)
    return np.ascontiguousarray(pixels), tuple(notes)
