"""ImageJ regions of interest as objects of a slide.

A ``.roi`` file, or a ``.zip`` of them as the ROI Manager, Cellpose and StarDist save it. roifile reads them.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import EnvironmentLacksError, ImageFileError
from napari_sam2.io.payload import existing_file
from napari_sam2.slides.objects import SlideObject
from napari_sam2.slides.polygons import areas_of

if TYPE_CHECKING:
    import os

__all__ = ["is_roi_file", "read_rois"]

LARGEST_TOTAL: Final = 1 << 30
"""Bytes of all outlines of a zip file, unpacked."""

LARGEST_ROI: Final = 64 << 20

_ARC_STEPS: Final = 64
"""Corners of an ellipse as a polygon: its area is then 0.2 % too small at most."""


def is_roi_file(path: Path) -> bool:
    """Whether a file is an ImageJ region, or zipped ones."""
    with path.open("rb") as stream:
        if stream.read(4) == b"Iout":
            return True
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read_rois(path: str | os.PathLike[str]) -> tuple[list[SlideObject], tuple[str, ...]]:
    """Read the areas of a file of ImageJ regions.

    Returns
    -------
    objects : list of SlideObject
        Polygons, rectangles, ellipses, freehand, traced and composite regions, with their names; on their plane.
    notes : tuple of str
        What was left out: lines, points, and what is damaged.

    Raises
    ------
    ImageFileError
        If nothing in it can be used.
    EnvironmentLacksError
        If roifile is not installed.
    """
    try:
        import roifile
    except ImportError as error:
        raise EnvironmentLacksError(
            'ImageJ regions need roifile, which is not installed; run: pip install "napari-sam2[slide]".'
        ) from error
    file = existing_file(path)
    objects: list[SlideObject] = []
    left_out: list[str] = []
    for name, content in _contents(file):
        try:
            roi = roifile.ImagejRoi.frombytes(content)
            outline = _outline(roi)
        except Exception:  # roifile raises many kinds on damaged files
            left_out.append(f"{name} is damaged")
            continue
        if outline is None or outline.is_empty:
            left_out.append(f"{name} is no area")
            continue
        plane = (max(int(roi.z_position or 0) - 1, 0), max(int(roi.t_position or 0) - 1, 0))
        if not (roi.z_position or roi.t_position):
            # A stack that is no hyperstack has one number for its planes.
            plane = (max(int(roi.position or 0) - 1, 0), 0)
        objects.append(SlideObject(outline, name=str(roi.name or name)).on_plane(plane))
    if not objects:
        what = f" ({left_out[0]})" if left_out else ""
        raise ImageFileError(f"{file.name} holds no area of ImageJ that can be used{what}; save the regions again.")
    if not left_out:
        return objects, ()
    more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    return objects, (f"{file.name}: {len(left_out)} regions were left out: {'; '.join(left_out[:3])}{more}.",)


def _contents(file: Path) -> list[tuple[str, bytes]]:
    with file.open("rb") as stream:
        if stream.read(4) == b"Iout":
            if file.stat().st_size > LARGEST_ROI:
                raise ImageFileError(f"{file.name} is larger than 64 MiB; it is no region of ImageJ.")
            return [(file.stem, file.read_bytes())]
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            if sum(entry.file_size for entry in entries) > LARGEST_TOTAL:
                raise ImageFileError(f"{file.name} holds more than 1 GiB of regions; save fewer at a time.")
            return [(Path(entry.filename).stem, _unpacked(archive, entry)) for entry in entries]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ImageFileError(f"{file.name} is damaged: it cannot be unpacked; save the regions again.") from error


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """One entry, or nothing when it holds more than it announces."""
    try:
        with archive.open(entry) as stream:
            content = stream.read(LARGEST_ROI + 1)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return b""
    except Exception as error:  # zlib.error is no OSError
        if type(error).__name__ != "error":
            raise
        return b""
    return content if len(content) <= LARGEST_ROI else b""


def _outline(roi: Any) -> Any:
    """The area of a region in pixel corners, x before y; None for lines and points."""
    import roifile
    import shapely

    kind = roi.roitype
    left, top, right, bottom = roi.left, roi.top, roi.right, roi.bottom
    if roi.subpixelrect:
        left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    lines = (roifile.ROI_TYPE.LINE, roifile.ROI_TYPE.POLYLINE, roifile.ROI_TYPE.FREELINE, roifile.ROI_TYPE.ANGLE)
    if kind in (*lines, roifile.ROI_TYPE.POINT):
        return None
    if kind == roifile.ROI_TYPE.OVAL:
        middle = ((left + right) / 2, (top + bottom) / 2)
        turn = np.linspace(0, 2 * np.pi, _ARC_STEPS, endpoint=False)
        half = ((right - left) / 2, (bottom - top) / 2)
        return shapely.Polygon(np.stack([middle[0] + half[0] * np.cos(turn), middle[1] + half[1] * np.sin(turn)], 1))
    if roi.composite:
        rings = [np.asarray(ring, dtype=float) for ring in roi.coordinates(multi=True)]
        shape = shapely.Polygon()
        for ring in rings:  # ImageJ fills composites by the even-odd rule, so a ring inside another is a hole
            if len(np.unique(ring, axis=0)) > 2:
                shape = shape.symmetric_difference(shapely.make_valid(shapely.Polygon(ring)))
        return _checked(areas_of(shape))
    if kind == roifile.ROI_TYPE.RECT:
        return _checked(shapely.box(left, top, right, bottom))
    return _checked(areas_of(shapely.make_valid(shapely.Polygon(np.asarray(roi.coordinates(), dtype=float)))))


def _checked(shape: Any) -> Any:
    if not shape.is_empty and not np.isfinite(shape.bounds).all():
        raise ValueError("a coordinate is not a finite number")
    return shape
