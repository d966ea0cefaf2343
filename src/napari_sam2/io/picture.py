"""Flat pictures in: PNG, JPEG and TIFF as a volume of one slice, (rows, columns, 1[, 3])."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.payload import existing_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_picture"]

LARGEST_PIXELS: Final = 2**28
"""A picture of 16k x 16k; larger ones are slides and need a pyramid."""


def read_picture(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a picture.

    Parameters
    ----------
    path : path-like
        PNG, JPEG or TIFF, grey or RGB; an alpha channel must be opaque and is dropped.
    volume_index : int, optional
        Which page of a TIFF file with several, counted from 0.

    Returns
    -------
    Volume
        (rows, columns, 1), or (rows, columns, 1, 3) uint8; spacing 1, orientation unknown.

    Raises
    ------
    ImageFileError
        If the picture is damaged, too large, transparent, or of a kind that is not supported.
    """
    file = existing_file(path)
    with file.open("rb") as stream:
        is_tiff = stream.read(2) in (b"II", b"MM")
    pixels = _read_tiff(file, volume_index) if is_tiff else _read_png_or_jpeg(file, volume_index)
    pixels = _without_alpha(pixels, file.name)
    source = Source(file.name, file.absolute(), sha256_of(file), "picture", files=(file,))
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
            return np.asarray(page.asarray())
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


def _without_alpha(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise ImageFileError(f"{name} has the shape {pixels.shape}; a grey or RGB picture is needed.")
    channels = pixels.shape[2]
    if channels in (2, 4):
        opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
        if (pixels[..., -1] != opaque).any():
            raise ImageFileError(f"{name} is partly transparent; save it without an alpha channel.")
        pixels = pixels[..., :-1]
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    if pixels.dtype != np.uint8:
        raise ImageFileError(f"{name} has colours of type {pixels.dtype}; save it with 8 bits per channel.")
    return pixels
