"""Opening a slide: the content decides which library reads it.

Pictures (PNG, JPEG, BMP, WebP, JPEG 2000) are slides of one level. OME-Zarr goes through zarr, OME-TIFF through
tifffile, which knows its levels and channels; other TIFF through tiffslide, then tifffile; what is left through
OpenSlide.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.errors import ImageFileError
from napari_sam2.io.payload import existing_file
from napari_sam2.io.picture import is_picture
from napari_sam2.io.resolution import mpp_from_properties, parse_mpp
from napari_sam2.io.zarr_store import is_zarr
from napari_sam2.slides.image.dicom_slide import open_dicom_slide, reads_openslide
from napari_sam2.slides.image.kind import COARSEST_NEEDED, classify, survey_of
from napari_sam2.slides.image.opened import OpenedFile, need
from napari_sam2.slides.image.planes import choose_plane, plane_note
from napari_sam2.slides.image.pyramid import Slide, StackSource
from napari_sam2.slides.image.sources import ArraySource, OpenSlideSource
from napari_sam2.slides.image.tiff_slide import TIFF_MAGIC, open_tiff
from napari_sam2.slides.image.zarr_slide import open_zarr_slide

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from napari_sam2.core.pixel_size import Mpp

__all__ = ["open_slide"]


def open_slide(
    path: str | os.PathLike[str],
    *,
    mpp: float | str | None = None,
    channel: str | int | Sequence[str | int] | None = None,
    polarity: str = "auto",
    image: str | int | None = None,
    plane: str | int | None = None,
) -> Slide:
    """Open a slide without reading its pixels.

    Parameters
    ----------
    path : path-like
        OME-Zarr (a folder or zip file), OME-TIFF, SVS and other TIFF slides, whatever OpenSlide reads, or a plain
        PNG, JPEG, BMP, WebP, JPEG 2000 or TIFF.
    mpp : float or str, optional
        Microns per level-0 pixel, in place of what the file says.
    channel : str, int or sequence of them, optional
        Of a fluorescence slide: channels by name or number, each with a colour and a range where these are not to be
        the file's (``"DAPI=blue:100:4000"``). One without a colour is shown in grey; all are merged by default.
    polarity : str
        ``"bright"`` (brightfield on glass) or ``"dark"`` (fluorescence), in place of what the picture looks like.
    image : str or int, optional
        Of a file with several pictures: which, by number or name; by default the one with the most pixels.
    plane : str or int, optional
        Of a stack: the plane along z (counted from 0), or ``"z=3,t=2"``; by default the first.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, or not a slide.
    EnvironmentLacksError
        If a library of the extra ``[slide]`` is needed and missing.
    UserInputError
        If the channel, polarity, picture or plane does not exist, or `mpp` is not a size.
    """
    stated = None if mpp is None else parse_mpp(mpp)
    channels = () if channel is None else ((channel,) if isinstance(channel, str | int) else tuple(channel))
    file, opened = _opened(path, image)
    try:
        return _slide(file, opened, stated, channels, polarity, plane)
    except BaseException:
        opened.source.close()
        raise


def _opened(path: str | os.PathLike[str], image: str | int | None) -> tuple[Path, OpenedFile]:
    """The file, and what its kind's reader makes of it."""
    if is_zarr(path):
        return Path(path), open_zarr_slide(Path(path), image)
    file = existing_file(path)
    with file.open("rb") as stream:
        magic = stream.read(32)
    if is_picture(magic):
        return file, _open_picture(file)
    _refuse_vsi(file)
    opened = open_tiff(file, image) if magic[:4] in TIFF_MAGIC else None
    if opened is None and reads_openslide(file) is False:
        opened = open_dicom_slide(file)
    return file, opened or _open_other(file)


def _open_picture(file: Path) -> OpenedFile:
    from napari_sam2.io.picture import read_picture

    volume = read_picture(file)
    pixels = volume.voxels[:, :, 0]
    is_rgb = True if pixels.ndim == 3 else None
    return OpenedFile(ArraySource(pixels), is_rgb=is_rgb, notes=volume.source.notes)


def _refuse_vsi(file: Path) -> None:
    """A VSI file holds an overview only; its scan lies in a folder beside it, as ``.ets`` files."""
    beside = file.with_name(f"_{file.stem}_")
    if file.suffix.lower() == ".vsi" or (beside.is_dir() and any(beside.glob("*/*.ets"))):
        raise ImageFileError(
            f"{file.name} is an Olympus VSI, which holds only an overview of the scan in the folder beside it; export "
            "it as OME-TIFF."
        )


def _open_other(file: Path) -> OpenedFile:
    openslide = need("openslide")
    try:
        source = OpenSlideSource(file, openslide.OpenSlide(file))
    except openslide.OpenSlideError as error:
        raise ImageFileError(
            f"{file.name} is not a slide that can be read; export it as OME-TIFF, SVS or tiled TIFF."
        ) from error
    return OpenedFile(source, mpp_from_properties(source.properties), True)


def _slide(
    file: Path,
    opened: OpenedFile,
    given: Mpp | None,
    channels: tuple[str | int, ...],
    polarity: str,
    plane: str | int | None,
) -> Slide:
    source, stated, name = opened.source, opened.mpp, file.name
    notes = list(opened.notes)
    planes = source.planes if isinstance(source, StackSource) else {}
    chosen = choose_plane(planes, plane, name)
    notes += plane_note(planes, chosen, name, asked=plane is not None)
    if isinstance(source, StackSource):
        source = source.at(chosen)
    if given is not None and stated is not None and abs(given.mean / stated.mean - 1) > 0.01:
        notes.append(
            f"{name} states {stated.mean:.4g} microns per pixel ({stated.origin}); the given {given.mean:.4g} is used."
        )
    if max(source.level_shapes[-1]) > COARSEST_NEEDED:
        notes.append(f"{name} has no small level, so overviews are slow; convert it to a pyramid.")
    kind = classify(
        survey_of(source),
        is_rgb=opened.is_rgb,
        displays=opened.displays,
        channels=channels,
        polarity=polarity,
        name=name,
    )
    notes += kind.notes
    return Slide(source, name, mpp=given or stated, mix=kind.mix, is_dark=kind.is_dark, notes=tuple(notes))
