"""Writing the objects of a slide: the output's name decides the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import check_folder
from napari_sam2.slides.formats.sidecar import check_slide_sidecar

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.objects import SlideObject

__all__ = ["FORMATS", "check_slide_output", "write_objects"]

FORMATS: Final = {
    ".geojson": "GeoJSON for QuPath",
    ".csv": "table of measurements",
    ".coco.json": "COCO with run-length masks",
    ".ome.tif": "pyramidal label image",
    ".ome.tiff": "pyramidal label image",
    ".ome.zarr": "pyramidal label image in chunks",
}


def check_slide_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> str:
    """Refuse an output that cannot be written, before any work is done.

    Returns
    -------
    str
        The suffix of `FORMATS` that it has.

    Raises
    ------
    UserInputError
        Saying what is wrong with the name, the folder, or the file (or sidecar) that is there.
    """
    target = Path(path)
    suffix = next((s for s in FORMATS if target.name.lower().endswith(s) and len(target.name) > len(s)), None)
    if suffix is None:
        raise UserInputError(f"{target.name} does not say what to write; its name must end in {', '.join(FORMATS)}.")
    check_folder(target)
    if target.exists() and not overwrite:
        raise UserInputError(f"{target.name} exists already; choose another name or pass --overwrite.")
    if not overwrite:
        check_slide_sidecar(target)
    return suffix


def write_objects(
    objects: Iterable[SlideObject], path: str | os.PathLike[str], slide: Slide, *, overwrite: bool = False
) -> int:
    """Write objects in the format that the output's name asks for.

    Returns
    -------
    int
        How many were written. GeoJSON and CSV are written one by one, whatever their number.
    """
    suffix = check_slide_output(path, overwrite=overwrite)
    if suffix == ".geojson":
        from napari_sam2.slides.formats.geojson import write_geojson

        return write_geojson(objects, path, overwrite=overwrite)
    if suffix == ".csv":
        from napari_sam2.slides.formats.object_table import write_object_table

        return write_object_table(objects, path, slide.mpp, overwrite=overwrite)
    if suffix == ".coco.json":
        from napari_sam2.slides.formats.coco import write_coco

        return write_coco(objects, path, slide.name, slide.shape, overwrite=overwrite)
    from napari_sam2.slides.formats.label_mosaic import write_label_mosaic, write_label_zarr

    listed = list(objects)
    write = write_label_zarr if suffix == ".ome.zarr" else write_label_mosaic
    write(listed, path, slide.shape, slide.mpp, overwrite=overwrite)
    return len(listed)
