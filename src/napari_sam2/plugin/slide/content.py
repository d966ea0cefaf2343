"""Whether a file is opened as a slide.

By its content where the name leaves it open.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import NapariSam2Error
from napari_sam2.io.formats import SLIDE_SUFFIXES
from napari_sam2.io.ngff import image_of
from napari_sam2.io.zarr_store import is_zarr, open_zarr
from napari_sam2.slides.image.dicom_slide import WHOLE_SLIDE

if TYPE_CHECKING:
    import os

__all__ = ["is_slide_file"]

OPEN_NAMES: Final = (".tif", ".tiff", ".qptiff", ".btf", ".tf8")
"""TIFFs, which may be a slide, a picture, or a stack of slices."""

PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2", ".j2k", ".jpx")

LARGEST_SCAN_PLANE: Final = 4096
"""Pixels along a side of an OME-Zarr's planes up to which a stack is a volume; a larger one is a slide of planes."""

OTHER_SLIDES: Final = (".vsi",)
"""Names of slides that are refused with a reason when they are opened."""


def is_slide_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds one picture of any size.

    Or is an OME-TIFF; a stack of slices is a volume, and no slide.
    """
    file = Path(path)
    if is_zarr(file):
        return _is_flat_zarr(file)
    name = file.name.lower()
    if name.endswith(OPEN_NAMES) and not name.endswith((".ome.tif", ".ome.tiff")):
        return _is_flat_tiff(file)
    if name.endswith(".dcm"):
        return _is_whole_slide(file)
    return name.endswith((*SLIDE_SUFFIXES, *PICTURES, *OTHER_SLIDES))


def _is_flat_tiff(file: Path) -> bool:
    """Whether the first picture of a TIFF is two-dimensional, as a pyramid is; False for what is no TIFF."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            axes = tiff.series[0].axes if tiff.series else ""
            size = dict(zip(axes, tiff.series[0].shape, strict=True)) if axes else {}
    except Exception:  # tifffile raises many kinds on damaged files; the volume reader says what is wrong
        return False
    return bool(size) and not any(name not in "YXSC" and length > 1 for name, length in size.items())


def _is_flat_zarr(file: Path) -> bool:
    """Whether an OME-Zarr image has one plane, or planes that are too large for a volume."""
    try:
        with open_zarr(file) as opened:
            (place, *_) = opened.images()
            image = image_of(opened.attributes(place), opened.name)
            shape = opened.array(f"{place}/{image.levels[0].path}".strip("/")).shape
            size = dict(zip(image.letters, shape, strict=True))
    except (NapariSam2Error, ValueError):  # the volume reader says what is wrong
        return False
    return bool(size.get("Z", 1) == 1 or max(size["Y"], size["X"]) > LARGEST_SCAN_PLANE)


def _is_whole_slide(file: Path) -> bool:
    import pydicom

    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"], force=True)
    except Exception:  # pydicom raises many kinds on damaged files; the volume reader says what is wrong
        return False
    return bool(header.get("SOPClassUID") == WHOLE_SLIDE)
