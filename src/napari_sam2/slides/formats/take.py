"""Objects that other programs made: the content decides how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.io.payload import existing_file
from napari_sam2.io.zarr_store import is_zarr
from napari_sam2.slides.formats.geojson import ReadObjects, read_objects
from napari_sam2.slides.formats.imagej_rois import is_roi_file, read_rois
from napari_sam2.slides.formats.label_picture import read_label_picture

if TYPE_CHECKING:
    import os

__all__ = ["TAKEN", "take_objects"]

TAKEN = "GeoJSON, ImageJ regions (.roi, .zip), and label pictures (TIFF, PNG, .npy, OME-Zarr)"
"""What `take_objects` reads, as people call it."""


def take_objects(path: str | os.PathLike[str], shape: tuple[int, int]) -> ReadObjects:
    """Read the objects of a slide from a file.

    Of QuPath, Cellpose, StarDist, ImageJ or this program.

    Parameters
    ----------
    path : path-like
        One of `TAKEN`.
    shape : tuple of int
        (rows, columns) of the slide.

    Returns
    -------
    ReadObjects
        Those with an area; notes say what was left out or mended, and how many lie outside the slide.

    Raises
    ------
    ImageFileError
        If the file is damaged, or of another kind.
    GeometryError
        If a label picture has another size than the slide.
    UserInputError
        If no object of it lies on the slide.
    """
    read = _read(Path(path), shape)
    name = Path(path).name
    objects = [obj for obj in read.objects if obj.geometry.area > 0]
    notes = list(read.notes)
    flat = len(read.objects) - len(objects)
    if flat:
        notes.append(f"{name}: {flat} object{' has' if flat == 1 else 's have'} no area, left out.")
    if not objects:
        raise UserInputError(f"{name} holds no outlines.")
    outside = sum(not _on_slide(obj.geometry.bounds, shape) for obj in objects)
    if outside == len(objects):
        raise UserInputError(
            f"None of the {outside} objects of {name} lies on the slide; give those of this slide, in pixels of its "
            "full size."
        )
    if outside:
        notes.append(f"{name}: {outside} of {len(objects)} objects lie outside the slide.")
    return ReadObjects(objects, tuple(notes))


def _read(path: Path, shape: tuple[int, int]) -> ReadObjects:
    if is_zarr(path):
        return ReadObjects(read_label_picture(path, shape), ())
    file = existing_file(path)
    if is_roi_file(file):
        objects, notes = read_rois(file)
        return ReadObjects(objects, notes)
    with file.open("rb") as stream:
        first = stream.read(64)
    # JSON is text; gzip is what QuPath compresses GeoJSON with.
    if first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") or first[:2] == b"\x1f\x8b":
        return read_objects(file)
    if file.suffix.lower() in (".geojson", ".json"):
        return read_objects(file)
    try:
        return ReadObjects(read_label_picture(file, shape), ())
    except ImageFileError as error:
        if "of a kind that cannot be read" in str(error):
            raise ImageFileError(f"{file.name} holds no objects that can be read; supported are {TAKEN}.") from error
        raise


def _on_slide(bounds: tuple[float, ...], shape: tuple[int, int]) -> bool:
    left, top, right, bottom = bounds
    return right > 0 and bottom > 0 and left < shape[1] and top < shape[0]
