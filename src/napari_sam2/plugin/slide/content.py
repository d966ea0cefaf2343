"""Whether a file is opened as a slide.

By its content where the name leaves it open.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.io.formats import SLIDE_SUFFIXES

if TYPE_CHECKING:
    import os

__all__ = ["is_slide_file"]

OPEN_NAMES: Final = (".tif", ".tiff", ".qptiff", ".btf", ".tf8")
"""TIFFs, which may be a slide, a picture, or a stack of slices."""

PICTURES: Final = (".png", ".jpg", ".jpeg")

OTHER_SLIDES: Final = (".vsi",)
"""Names of slides that are refused with a reason when they are opened."""

WHOLE_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""SOP class of VL Whole Slide Microscopy images (DICOM PS3.4, annex B.5)."""


def is_slide_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds one picture of any size.

    Or is an OME-TIFF; a stack of slices is a volume, and no slide.
    """
    file = Path(path)
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


def _is_whole_slide(file: Path) -> bool:
    import pydicom

    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"], force=True)
    except Exception:  # pydicom raises many kinds on damaged files; the volume reader says what is wrong
        return False
    return bool(header.get("SOPClassUID") == WHOLE_SLIDE)
