"""Opening a slide: the content decides which library reads it.

Pictures (PNG, JPEG) are slides of one level. OME-TIFF goes through tifffile, which knows its levels and
channels; other TIFF through tiffslide, then tifffile; what is left through OpenSlide.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import EnvironmentLacksError, ImageFileError, NapariSam2Error
from napari_sam2.io.payload import check_claim, existing_file
from napari_sam2.io.photometric import samples_of
from napari_sam2.io.resolution import (
    mpp_from_imagej,
    mpp_from_ome,
    mpp_from_properties,
    mpp_from_tiff_tags,
    parse_mpp,
)
from napari_sam2.slides.image.kind import COARSEST_NEEDED, classify, survey_of
from napari_sam2.slides.image.pictures import PictureChoice, PictureInFile, channel_names, choose_picture
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import (
    ArraySource,
    ConvertedSource,
    OpenSlideSource,
    TifffileSource,
    TiffSlideSource,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.image.pyramid import PixelSource

__all__ = ["open_slide"]

FLAT_LIMIT: Final = 1 << 28
"""Pixels of a level without tiles that may have to be decoded at once: 16k x 16k."""

_TIFF_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_VENDORS: Final = ("svs", "scn", "bif", "ndpi", "philips")
"""Scanners' formats, as tifffile knows them, whose labels and overviews tiffslide tells from the scan itself."""

_PICTURE_MAGIC: Final = (b"\x89PNG", b"\xff\xd8\xff")


def open_slide(
    path: str | os.PathLike[str],
    *,
    mpp: float | str | None = None,
    channel: str | int | None = None,
    polarity: str = "auto",
    image: str | int | None = None,
) -> Slide:
    """Open a slide without reading its pixels.

    Parameters
    ----------
    path : path-like
        OME-TIFF, SVS and other TIFF slides, whatever OpenSlide reads, or a plain PNG, JPEG or TIFF.
    mpp : float or str, optional
        Microns per level-0 pixel, in place of what the file says.
    channel : str or int, optional
        Of a fluorescence slide: one channel by name or number; all are merged by default.
    polarity : str
        ``"bright"`` (brightfield on glass) or ``"dark"`` (fluorescence), in place of what the picture looks like.
    image : str or int, optional
        Of a file with several pictures: which, by number or name; by default the one with the most pixels.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, or not a slide.
    EnvironmentLacksError
        If a library of the extra ``[slide]`` is needed and missing.
    UserInputError
        If the channel, polarity or picture does not exist, or `mpp` is not a size.
    """
    wish = _Wish(None if mpp is None else parse_mpp(mpp), channel, polarity, image)
    file = existing_file(path)
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic.startswith(_PICTURE_MAGIC):
        return _open_picture(file, wish)
    _refuse_vsi(file)
    if magic in _TIFF_MAGIC:
        return _open_tiff(file, wish)
    return _open_other(file, wish)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person says of a slide, in place of what the file says."""

    mpp: Mpp | None = None
    channel: str | int | None = None
    polarity: str = "auto"
    image: str | int | None = None


def _open_picture(file: Path, wish: _Wish) -> Slide:
    from napari_sam2.io.picture import read_picture

    volume = read_picture(file)
    pixels = volume.voxels[:, :, 0]
    return _slide(file, ArraySource(pixels), wish, None, True if pixels.ndim == 3 else None, (), volume.source.notes)


def _refuse_vsi(file: Path) -> None:
    """A VSI file holds an overview only; its scan lies in a folder beside it, as ``.ets`` files."""
    beside = file.with_name(f"_{file.stem}_")
    if file.suffix.lower() == ".vsi" or (beside.is_dir() and any(beside.glob("*/*.ets"))):
        raise ImageFileError(
            f"{file.name} is an Olympus VSI, which holds only an overview of the scan in the folder beside it; export "
            "it as OME-TIFF."
        )


def _open_tiff(file: Path, wish: _Wish) -> Slide:
    tifffile = _need("tifffile")
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
        return _open_series(file, tiff, choose_picture(pictures, wish.image, file.name), first_page, wish)
    except NapariSam2Error:
        tiff.close()
        raise
    except Exception as error:  # tags of a damaged file may be of any type
        tiff.close()
        raise ImageFileError(f"{file.name} is damaged: its tags cannot be understood; export it again.") from error


def _open_series(file: Path, tiff: Any, choice: PictureChoice, first_page: Any, wish: _Wish) -> Slide:
    if choice.chosen is None:
        tiff.close()
        return _open_other(file, wish)
    series = tiff.series[choice.chosen]
    page = series.keyframe
    if not series.is_multifile:
        check_claim(file, math.prod(series.levels[0].shape) * np.dtype(series.dtype).itemsize)
    is_vendor = any(getattr(tiff, f"is_{kind}") for kind in _VENDORS)
    if first_page.is_tiled and wish.image is None and not tiff.is_ome and (is_vendor or choice.chosen == 0):
        plain = getattr(page.photometric, "name", "") in ("RGB", "YCBCR") and page.dtype == np.uint8
        plain = plain and page.samplesperpixel == 3
        vendor = _open_vendor_tiff(file) if is_vendor or plain else None
        if vendor is not None:
            tiff.close()
            stated = mpp_from_properties(vendor.properties)
            return _slide(file, vendor, wish, stated, True, (), choice.notes)
    if not page.is_tiled and page.imagelength * page.imagewidth > FLAT_LIMIT:
        raise ImageFileError(
            f"{file.name} has {page.imagewidth} x {page.imagelength} pixels and no tiles, so no piece of it can be "
            "read alone; convert it to a tiled pyramid."
        )
    _need("zarr")
    samples = samples_of(page, file.name)
    ome = tiff.ome_metadata if tiff.is_ome else None
    stated = (mpp_from_ome(ome, choice.chosen) if ome else None) or mpp_from_imagej(tiff, page.tags)
    names = channel_names(ome, choice.chosen) or tuple((tiff.imagej_metadata or {}).get("Labels", ()))
    source: PixelSource = TifffileSource(file, series, tiff)
    stored = source
    is_rgb = True if samples.is_colour else (False if "S" not in series.axes and any(names) else None)
    if samples.is_colour and "S" not in series.axes and samples.kind == "rgb":
        is_rgb = None
    if not samples.is_plain:
        source = ConvertedSource(stored, samples)
    return _slide(file, source, wish, stated or mpp_from_tiff_tags(page.tags), is_rgb, names, choice.notes)


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


def _open_other(file: Path, wish: _Wish) -> Slide:
    openslide = _need("openslide")
    try:
        source = OpenSlideSource(file, openslide.OpenSlide(file))
    except openslide.OpenSlideError as error:
        raise ImageFileError(
            f"{file.name} is not a slide that can be read; export it as OME-TIFF, SVS or tiled TIFF."
        ) from error
    return _slide(file, source, wish, mpp_from_properties(source.properties), True, (), ())


def _slide(
    file: Path,
    source: PixelSource,
    wish: _Wish,
    stated: Mpp | None,
    is_rgb: bool | None,
    names: tuple[str, ...],
    told: tuple[str, ...],
) -> Slide:
    notes = list(told)
    mpp = wish.mpp
    if mpp is not None and stated is not None and abs(mpp.mean / stated.mean - 1) > 0.01:
        notes.append(
            f"{file.name} states {stated.mean:.4g} microns per pixel ({stated.origin}); "
            f"the given {mpp.mean:.4g} is used."
        )
    if max(source.level_shapes[-1]) > COARSEST_NEEDED:
        notes.append(f"{file.name} has no small level, so overviews are slow; convert it to a pyramid.")
    try:
        survey = survey_of(source)
        padded = tuple(names[i] if i < len(names) else "" for i in range(survey.shape[2]))
        kind = classify(
            survey, is_rgb=is_rgb, names=padded, channel=wish.channel, polarity=wish.polarity, name=file.name
        )
    except BaseException:
        source.close()
        raise
    notes += kind.notes
    return Slide(source, file.name, mpp=mpp or stated, mix=kind.mix, is_dark=kind.is_dark, notes=tuple(notes))


def _need(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentLacksError(
            f'Slides need {module}, which is not installed; run: pip install "napari-sam2[slide]".'
        ) from error
