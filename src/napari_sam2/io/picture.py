"""Pictures in.

PNG, JPEG, BMP, WebP, JPEG 2000 and TIFF as a volume of one slice, (rows, columns, 1[, 3]); a TIFF stack along z as one
of several.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import EnvironmentLacksError, ImageFileError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.payload import check_claim, existing_file
from napari_sam2.io.photometric import colour_range, over_white, samples_of, to_8_bits
from napari_sam2.io.tiff_stack import is_stack, read_stack

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["channels_last", "is_picture", "read_picture"]

_DECODERS: Final = ("PNG", "JPEG", "BMP", "WEBP", "JPEG2000")
"""Of Pillow's; others had holes, and hold no pictures of a microscope."""

LARGEST_PIXELS: Final = 2**28
"""A picture of 16k x 16k; larger ones are slides and need a pyramid."""


_MAGIC: Final = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
)  # fmt: skip
_BMP_HEADERS: Final = (12, 40, 52, 56, 64, 108, 124)
"""Sizes of the header that follows the 14 bytes which begin a BMP file; its own mark is two letters only."""


def is_picture(first: bytes) -> bool:
    """Whether a file that begins so is a picture.

    PNG, JPEG, JPEG 2000, WebP or BMP.
    """
    if first.startswith(_MAGIC) or (first[:4] == b"RIFF" and first[8:12] == b"WEBP"):
        return True
    return first[:2] == b"BM" and int.from_bytes(first[14:18], "little") in _BMP_HEADERS


def read_picture(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read a picture.

    Parameters
    ----------
    path : path-like
        PNG, JPEG, BMP, WebP, JPEG 2000 or TIFF, of grey, RGB, indexed or CMYK colours; transparent places become
        white.
    volume_index : int, optional
        Which page of a TIFF file with several, or which channel or moment of a stack along z, counted from 0.

    Returns
    -------
    Volume
        (rows, columns, 1), or (rows, columns, 1, 3) uint8, spacing 1; a stack along z (columns, rows, planes), with
        the spacing that it states. Orientation unknown.

    Raises
    ------
    ImageFileError
        If the picture is damaged, too large, or of a kind that is not supported.
    """
    file = existing_file(path)
    with file.open("rb") as stream:
        is_tiff = stream.read(2) in (b"II", b"MM")
    stack = _read_tiff(file, volume_index) if is_tiff else _Stack(*_read_with_pillow(file, volume_index))
    pixels, affine, notes = stack.pixels, stack.affine, stack.notes
    if affine is None:
        pixels, told = _grey_or_colour(pixels, file.name)
        pixels, affine, notes = pixels[:, :, np.newaxis], np.eye(4), (*notes, *told)
    source = Source(file.name, file.absolute(), sha256_of(file), "picture", notes=notes, files=(file,))
    return Volume(pixels, affine, oriented=False, source=source)


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """Samples (rows, columns[, S]) of a flat picture.

    With an affine, voxels (columns, rows, planes[, 3]).
    """

    pixels: NDArray[Any]
    notes: tuple[str, ...] = ()
    affine: NDArray[np.float64] | None = None


def _read_with_pillow(path: Path, volume_index: int | None) -> tuple[NDArray[Any], tuple[str, ...]]:
    from PIL import Image

    if volume_index not in (None, 0):
        raise ImageFileError(f"{path.name} has no volume {volume_index}: it is a single picture.")
    try:
        with Image.open(path, formats=_DECODERS) as image:
            _check_size(path.name, image.height, image.width)
            bits = bits_of(path)
            _check_bmp(image, path.name)
            notes = []
            n_frames = getattr(image, "n_frames", 1)
            if n_frames > 1:
                notes.append(f"{path.name} holds {n_frames} frames; the first one is read.")
            if image.format == "JPEG2000" and bits > 8 and not image.mode.startswith("I"):
                return _deep_jpeg2000(path), ()
            if bits > 8 and not image.mode.startswith("I"):
                notes.append(f"{path.name} holds colours of {bits} bits; 8 bits are kept.")
            pixels = _pixels(image)
            if image.format == "JPEG2000" and bits < 16 and image.mode.startswith("I"):
                pixels = pixels >> (16 - bits)  # Pillow moves grey values up to 16 bits
            return pixels, tuple(notes)
    except ImageFileError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"{path.name} is damaged or truncated; copy or export it again.") from error


def _check_bmp(image: Any, name: str) -> None:
    """Refuse a BMP of fewer than 8 bits that Pillow would read as one of 8.

    It does so with every grey palette of more colours than such pixels can choose from (Pillow 13, BmpImagePlugin).
    """
    if image.format != "BMP" or image.mode != "L":
        return
    image.fp.seek(14)
    header = image.fp.read(16)
    bits = int.from_bytes(header[10:12] if header[0] == _BMP_HEADERS[0] else header[14:16], "little")
    if bits < 8:
        raise ImageFileError(f"{name} is damaged: pixels of {bits} bits cannot use its palette; export it again.")


def _deep_jpeg2000(path: Path) -> NDArray[Any]:
    """Colours of more than 8 bits.

    Pillow 13 turns the brightest ones into black when it rounds them to 8.
    """
    try:
        import imagecodecs
    except ImportError as error:
        raise EnvironmentLacksError(
            f"{path.name} holds colours of more than 8 bits, which need imagecodecs; run: pip install "
            '"napari-sam2[slide]".'
        ) from error
    try:
        return np.asarray(imagecodecs.jpeg2k_decode(path.read_bytes()))
    except Exception as error:  # imagecodecs raises kinds of its own
        raise ImageFileError(f"{path.name} is damaged or truncated; copy or export it again.") from error


def _pixels(image: Any) -> NDArray[Any]:
    """Grey, RGB or RGBA samples of an open picture."""
    if image.mode == "1":
        return np.array(image.convert("L"))
    if image.mode in ("PA", "LA", "La", "RGBa") or ("transparency" in image.info and image.mode in ("P", "L", "RGB")):
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("RGB") if image.mode in ("P", "CMYK", "YCbCr", "RGBX") else image)


def bits_of(path: Path) -> int:
    """Bits of a sample of a PNG or JPEG 2000 file.

    8 for other pictures.

    By PNG's header chunk (ISO 15948, 11.2.2) and the SIZ marker of JPEG 2000 (ISO 15444-1, A.5.1).

    Raises
    ------
    ImageFileError
        If the samples of a JPEG 2000 file are signed.
    """
    with path.open("rb") as stream:
        first = stream.read(1 << 16)
    if first.startswith(_MAGIC[0]):
        return first[24] if len(first) > 24 else 8
    start = first.find(b"\xff\x4f\xff\x51")
    if not first.startswith(_MAGIC[2:]) or start < 0 or len(first) < start + 43:
        return 8
    depth = first[start + 42]
    if depth & 0x80:
        raise ImageFileError(f"{path.name} stores signed samples, which is not read here; save it with unsigned ones.")
    return (depth & 0x7F) + 1


def _read_tiff(path: Path, volume_index: int | None) -> _Stack:
    import tifffile

    logging.getLogger("tifffile").disabled = True  # what matters of it becomes the error below
    try:
        with tifffile.TiffFile(path) as tiff:
            if is_stack(tiff):
                pixels, affine, notes = read_stack(path, tiff, volume_index)
                return _Stack(pixels, notes, affine)
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
            return _Stack(samples.apply(channels_last(page.asarray(), page.axes, path.name)))
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
