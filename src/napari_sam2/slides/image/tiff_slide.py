"""TIFF slides: tifffile for OME-TIFF and plain ones.

The scanners' libraries for theirs.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import ImageFileError, NapariSam2Error
from napari_sam2.io.channel_displays import displays_of_imagej, displays_of_ome
from napari_sam2.io.payload import check_claim
from napari_sam2.io.photometric import samples_of
from napari_sam2.io.resolution import mpp_from_imagej, mpp_from_ome, mpp_from_properties, mpp_from_tiff_tags
from napari_sam2.slides.image.opened import OpenedFile, need
from napari_sam2.slides.image.pictures import PictureChoice, PictureInFile, choose_picture
from napari_sam2.slides.image.sources import ConvertedSource, OpenSlideSource, TifffileSource, TiffSlideSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam2.slides.image.pyramid import PixelSource

__all__ = ["FLAT_LIMIT", "TIFF_MAGIC", "open_tiff"]

TIFF_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

FLAT_LIMIT: Final = 1 << 28
"""Pixels of a level without tiles that may have to be decoded at once: 16k x 16k."""

_VENDORS: Final = ("svs", "scn", "bif", "ndpi", "philips")
"""Scanners' formats, as tifffile knows them, whose labels and overviews tiffslide tells from the scan itself."""


def open_tiff(file: Path, image: str | int | None) -> OpenedFile | None:
    """Open a TIFF; None when only OpenSlide may know what it is.

    Parameters
    ----------
    file : Path
        That begins as a TIFF.
    image : str or int, optional
        Which of several pictures, by number or name.

    Raises
    ------
    ImageFileError
        If it is damaged, or of a kind that is not read.
    UserInputError
        If there is no such picture.
    """
    tifffile = need("tifffile")
    tiff = None
    try:
        tiff = tifffile.TiffFile(file)
        pictures = [PictureInFile(s.name, s.levels[0].shape, s.axes, i) for i, s in enumerate(tiff.series)]
        first_page = tiff.pages[0]
    except Exception as error:  # tifffile raises many kinds on damaged files
        if tiff is not None:
            tiff.close()
        raise ImageFileError(
            f"{file.name} is damaged: its directory cannot be read; copy or export it again."
        ) from error
    try:
        return _open_series(
            file, tiff, choose_picture(pictures, image, file.name), first_page, is_chosen=image is not None
        )
    except NapariSam2Error:
        tiff.close()
        raise
    except Exception as error:  # tags of a damaged file may be of any type
        tiff.close()
        raise ImageFileError(f"{file.name} is damaged: its tags cannot be understood; export it again.") from error


def _open_series(
    file: Path, tiff: Any, choice: PictureChoice, first_page: Any, *, is_chosen: bool
) -> OpenedFile | None:
    if choice.chosen is None:
        tiff.close()
        return None
    series = tiff.series[choice.chosen]
    page = series.keyframe
    if not series.is_multifile:
        check_claim(file, math.prod(series.levels[0].shape) * np.dtype(series.dtype).itemsize)
    is_vendor = any(getattr(tiff, f"is_{kind}") for kind in _VENDORS)
    if first_page.is_tiled and not is_chosen and not tiff.is_ome and (is_vendor or choice.chosen == 0):
        plain = getattr(page.photometric, "name", "") in ("RGB", "YCBCR") and page.dtype == np.uint8
        plain = plain and page.samplesperpixel == 3
        vendor = _open_vendor_tiff(file) if is_vendor or plain else None
        if vendor is not None:
            tiff.close()
            return OpenedFile(vendor, mpp_from_properties(vendor.properties), True, notes=choice.notes)
    if not page.is_tiled and page.imagelength * page.imagewidth > FLAT_LIMIT:
        raise ImageFileError(
            f"{file.name} has {page.imagewidth} x {page.imagelength} pixels and no tiles, so no piece of it can be "
            "read alone; convert it to a tiled pyramid."
        )
    need("zarr")
    samples = samples_of(page, file.name)
    ome = tiff.ome_metadata if tiff.is_ome else None
    stated = (mpp_from_ome(ome, choice.chosen) if ome else None) or mpp_from_imagej(tiff, page.tags)
    stored = TifffileSource(file, series, tiff)
    displays = displays_of_ome(ome, choice.chosen) or displays_of_imagej(tiff.imagej_metadata, stored.n_channels)
    is_named = any(display.name for display in displays)
    is_rgb = True if samples.is_colour else (False if "S" not in series.axes and is_named else None)
    if samples.is_colour and "S" not in series.axes and samples.kind == "rgb":
        is_rgb = None
    source: PixelSource = stored if samples.is_plain else ConvertedSource(stored, samples)
    return OpenedFile(source, stated or mpp_from_tiff_tags(page.tags), is_rgb, displays, choice.notes)


def _open_vendor_tiff(file: Path) -> TiffSlideSource | OpenSlideSource | None:
    """What tiffslide, or OpenSlide after it, makes of a tiled TIFF; None when neither knows it."""
    with contextlib.suppress(Exception):  # whatever goes wrong, the next reader is asked
        import tiffslide

        slide = tiffslide.TiffSlide(file)
        with _closed_unless_read(slide):
            return TiffSlideSource(file, slide)
    with contextlib.suppress(Exception):
        import openslide

        slide = openslide.OpenSlide(file)
        with _closed_unless_read(slide):
            return OpenSlideSource(file, slide)
    return None


@contextlib.contextmanager
def _closed_unless_read(slide: Any) -> Iterator[None]:
    """Close a library's slide when the first look at it fails."""
    try:
        yield
    except BaseException:
        slide.close()
        raise
