"""Opening a slide: the content decides which library reads it.

Pictures (PNG, JPEG) are slides of one level. OME-TIFF goes through tifffile, which knows its levels and
channels; other TIFF through tiffslide, then tifffile; what is left through OpenSlide.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

import numpy as np

from napari_sam2.errors import EnvironmentLacksError, ImageFileError
from napari_sam2.io.payload import existing_file
from napari_sam2.slides.image.channels import ChannelMix, choose_mix
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.resolution import mpp_from_ome, mpp_from_properties, mpp_from_tiff_tags, parse_mpp
from napari_sam2.slides.image.sources import ArraySource, OpenSlideSource, TifffileSource, TiffSlideSource

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from napari_sam2.core.pixel_size import Mpp

__all__ = ["open_slide"]

FLAT_LIMIT: Final = 1 << 28
"""Pixels of a level without tiles that may have to be decoded at once: 16k x 16k."""

COARSEST_NEEDED: Final = 4096
"""A coarsest level larger than this makes overviews slow, which the person should know."""

_TIFF_MAGIC: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURE_MAGIC: Final = (b"\x89PNG", b"\xff\xd8\xff")


def open_slide(
    path: str | os.PathLike[str], *, mpp: float | str | None = None, channel: str | int | None = None
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

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, or not a slide.
    EnvironmentLacksError
        If a library of the extra ``[slide]`` is needed and missing.
    UserInputError
        If the channel does not exist, or `mpp` is not a size.
    """
    given = None if mpp is None else parse_mpp(mpp)
    file = existing_file(path)
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic.startswith(_PICTURE_MAGIC):
        return _open_picture(file, given, channel)
    if magic in _TIFF_MAGIC:
        return _open_tiff(file, given, channel)
    return _open_other(file, given)


def _open_picture(file: Path, given: Mpp | None, channel: str | int | None) -> Slide:
    from napari_sam2.io.picture import read_picture

    pixels = read_picture(file).voxels[:, :, 0]
    source = ArraySource(pixels)
    return _slide(file, source, given, None, channel, ome=None)


def _open_tiff(file: Path, given: Mpp | None, channel: str | int | None) -> Slide:
    tifffile = _need("tifffile")
    try:
        tiff = tifffile.TiffFile(file)
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise ImageFileError(
            f"{file.name} is damaged: its directory cannot be read; copy or export it again."
        ) from error
    series = tiff.series[0] if tiff.series else None
    page = tiff.pages[0]
    if not tiff.is_ome and page.is_tiled:
        vendor = _open_vendor_tiff(file)
        if vendor is not None:
            tiff.close()
            return _slide(file, vendor, given, mpp_from_properties(vendor.properties), channel, ome=None)
    if series is None or not {"Y", "X"} <= set(series.axes):
        tiff.close()
        return _open_other(file, given)
    if not page.is_tiled and page.imagelength * page.imagewidth > FLAT_LIMIT:
        tiff.close()
        raise ImageFileError(
            f"{file.name} has {page.imagewidth} x {page.imagelength} pixels and no tiles, so no piece of it can be "
            "read alone; convert it to a tiled pyramid."
        )
    _need("zarr")
    ome = tiff.ome_metadata if tiff.is_ome else None
    stated = mpp_from_ome(ome) if ome else None
    return _slide(
        file, TifffileSource(file, series, tiff), given, stated or mpp_from_tiff_tags(page.tags), channel, ome
    )


def _open_vendor_tiff(file: Path) -> TiffSlideSource | OpenSlideSource | None:
    """What tiffslide, or OpenSlide after it, makes of a tiled TIFF; None when neither knows it."""
    with contextlib.suppress(Exception):  # whatever goes wrong, the next reader is asked
        import tiffslide

        return TiffSlideSource(file, tiffslide.TiffSlide(file))
    with contextlib.suppress(Exception):
        import openslide

        return OpenSlideSource(file, openslide.OpenSlide(file))
    return None


def _open_other(file: Path, given: Mpp | None) -> Slide:
    openslide = _need("openslide")
    try:
        source = OpenSlideSource(file, openslide.OpenSlide(file))
    except openslide.OpenSlideError as error:
        raise ImageFileError(
            f"{file.name} is not a slide that can be read; export it as OME-TIFF, SVS or tiled TIFF."
        ) from error
    return _slide(file, source, given, mpp_from_properties(source.properties), None, ome=None)


def _slide(
    file: Path,
    source: ArraySource | TifffileSource | TiffSlideSource | OpenSlideSource,
    given: Mpp | None,
    stated: Mpp | None,
    channel: str | int | None,
    ome: str | None,
) -> Slide:
    notes = []
    if given is not None and stated is not None and abs(given.mean / stated.mean - 1) > 0.01:
        notes.append(
            f"{file.name} states {stated.mean:.4g} microns per pixel ({stated.origin}); "
            f"the given {given.mean:.4g} is used."
        )
    if max(source.level_shapes[-1]) > COARSEST_NEEDED:
        notes.append(f"{file.name} has no small level, so overviews are slow; convert it to a pyramid.")
    try:
        mix = _mix(file, source, channel, ome)
    except BaseException:
        source.close()
        raise
    return Slide(source, file.name, mpp=given or stated, mix=mix, notes=tuple(notes))


def _mix(file: Path, source: Any, channel: str | int | None, ome: str | None) -> ChannelMix | None:
    """How the channels become RGB; None when they are RGB, with or without an alpha channel."""
    is_rgb = source.dtype == np.uint8 and (source.n_channels == 3 or (source.n_channels == 4 and not ome))
    if is_rgb and channel is None:
        return None
    names = ("red", "green", "blue", "alpha")[: source.n_channels] if is_rgb else _channel_names(ome, source.n_channels)
    return choose_mix(_survey(source), names, channel, file.name)


def _survey(source: Any) -> Any:
    last = len(source.level_shapes) - 1
    rows, cols = source.level_shapes[last]
    # A slide without small levels is judged by its centre.
    height, width = min(rows, COARSEST_NEEDED), min(cols, COARSEST_NEEDED)
    return source.read(last, (rows - height) // 2, (cols - width) // 2, height, width)


def _channel_names(ome: str | None, count: int) -> tuple[str, ...]:
    names: list[str] = []
    if ome and "<!DOCTYPE" not in ome:
        with contextlib.suppress(ElementTree.ParseError):
            root = ElementTree.fromstring(ome)  # noqa: S314 - no document type, so no entities to expand
            names = [e.get("Name") or "" for e in root.iter() if e.tag.endswith("}Channel")]
    return tuple((names[i] if i < len(names) else "") or f"channel {i}" for i in range(count))


def _need(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentLacksError(
            f'Slides need {module}, which is not installed; run: pip install "napari-sam2[slide]".'
        ) from error
