"""Writing the objects of a slide: the output's name decides the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.io.atomic import as_utf8, check_folder, check_place, explained
from napari_sam2.io.file_set import file_set
from napari_sam2.slides.formats.sidecar import check_slide_sidecar, slide_sidecar_path

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
    # An earlier folder of that name may be replaced as a file may.
    (check_place if suffix == ".ome.zarr" else check_folder)(target)
    if target.exists() and not overwrite:
        raise UserInputError(f"{target.name} exists already; choose another name or pass --overwrite.")
    if not overwrite:
        check_slide_sidecar(target)
    return suffix


def write_objects(
    objects: Iterable[SlideObject],
    path: str | os.PathLike[str],
    slide: Slide,
    facts: str,
    *,
    overwrite: bool = False,
) -> int:
    """Write objects and, beside them, how they were made; both or none.

    A folder (``.ome.zarr``) takes its name just before its sidecar does.

    Parameters
    ----------
    objects : iterable of SlideObject
        Those of GeoJSON and CSV are written one by one, whatever their number.
    path : path-like
        Its name decides the format, see `FORMATS`.
    slide : Slide
        What they lie on.
    facts : str
        The text of the sidecar, see `napari_sam2.slides.formats.sidecar.slide_sidecar_text`.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `check_slide_output` and `napari_sam2.io.file_set.file_set`.
    """
    target = Path(path)
    suffix = check_slide_output(target, overwrite=overwrite)
    sidecar = slide_sidecar_path(target)
    if suffix == ".ome.zarr":
        with file_set((sidecar,), overwrite=overwrite) as (sidecar_file,):
            sidecar_file.write_bytes(as_utf8(facts))
            return _write(suffix, objects, target, slide, overwrite=overwrite)
    with file_set((target, sidecar), overwrite=overwrite) as (content, sidecar_file):
        sidecar_file.write_bytes(as_utf8(facts))
        try:
            return _write(suffix, objects, content, slide, overwrite=True)
        except EnvironmentLacksError as error:
            if isinstance(error.__cause__, OSError):  # which names the temporary file
                raise explained(error.__cause__, target) from error.__cause__
            raise


def _write(suffix: str, objects: Iterable[SlideObject], path: Path, slide: Slide, *, overwrite: bool) -> int:
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
