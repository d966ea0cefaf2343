"""Labels of a film.

An OME-TIFF of frames, with how it was made, its objects, and their areas over time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tifffile

from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import as_utf8, check_folder, check_free
from napari_sam2.io.file_set import file_set
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.io.names import stem_of
from napari_sam2.io.sidecar import as_json_text, facts_of, sidecar_paths
from napari_sam2.measures.film import area_plot, pixels_over_time
from napari_sam2.tables import csv_text
from napari_sam2.terms.structures import structures_for

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.core.volume import Volume
    from napari_sam2.io.sidecar import Provenance
    from napari_sam2.terms.structures import Structure

__all__ = ["FILM_ENDINGS", "check_film_output", "files_of_film", "write_label_film"]

FILM_ENDINGS: Final = (".ome.tif", ".ome.tiff")


def check_film_output(path: str | os.PathLike[str], volume: Volume, *, overwrite: bool = False) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises
    ------
    UserInputError
        Saying what is wrong with the name or the folder, that a file is there, or that it is the film itself.
    """
    target = Path(path)
    if not target.name.lower().endswith(FILM_ENDINGS):
        raise UserInputError(f"{target.name}: the labels of a film are a stack of frames; save them as .ome.tif.")
    check_folder(target)
    refuse_inputs_as_outputs(volume.source.files, files_of_film(target))
    for file in files_of_film(target):
        check_free(file, overwrite=overwrite)


def files_of_film(output: Path) -> list[Path]:
    """Everything that is written.

    Labels, how they were made, objects, areas over time, and their curves.
    """
    stem = stem_of(output)
    return [output, *sidecar_paths(output), *(output.with_name(stem + end) for end in ("_areas.csv", "_areas.png"))]


def write_label_film(
    frames: NDArray[np.integer],
    volume: Volume,
    path: str | os.PathLike[str],
    provenance: Provenance,
    *,
    seconds: float | None = None,
    mpp: Mpp | None = None,
    overwrite: bool = False,
) -> dict[int, NDArray[np.int64]]:
    """Write labels over time with all that belongs to them.

    All files or none.

    Parameters
    ----------
    frames : (T, rows, columns) array of int
        Object ids; 0 is nothing.
    volume : Volume
        The film, (columns, rows, T).
    path : path-like
        Ending in one of `FILM_ENDINGS`; see `files_of_film` for what lies beside it.
    provenance : Provenance
        How the labels were made; its objects are those that are listed.
    seconds : float, optional
        From one frame to the next.
    mpp : Mpp, optional
        Microns per pixel, written as PhysicalSize.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    dict of int to (T,) array
        Pixels by object id.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `check_film_output` and `napari_sam2.io.file_set.file_set`.
    ImageFileError
        If what was written reads back differently.
    """
    target = Path(path)
    check_film_output(target, volume, overwrite=overwrite)
    dtype = np.dtype(label_dtype(int(frames.max(initial=0))))
    labels = frames.astype(np.uint32 if dtype == np.int32 else dtype)
    names = {obj.object_id: obj.name for obj in provenance.objects}
    objects = structures_for([*names, *np.unique(labels).tolist()], names, provenance.terms)
    pixels = pixels_over_time(labels, [s.label_id for s in objects])
    mm2 = None if mpp is None else mpp.area / 1e6
    with file_set(files_of_film(target), overwrite=overwrite) as (film, facts, table, areas, plot):
        _write_frames(labels, film, target.name, seconds, mpp)
        text = as_json_text(_facts(target.name, sha256_of(film), volume, provenance, objects, pixels, seconds))
        facts.write_bytes(as_utf8(text))
        table.write_bytes(as_utf8(_table(objects, pixels)))
        areas.write_bytes(as_utf8(_areas(objects, pixels, seconds, mm2)))
        area_plot(pixels, objects, seconds, mm2).save(plot, format="PNG")
    return {s.label_id: counts for s, counts in zip(objects, pixels, strict=True)}


def _write_frames(labels: NDArray[Any], file: Path, name: str, seconds: float | None, mpp: Mpp | None) -> None:
    metadata: dict[str, Any] = {"axes": "TYX"}
    if mpp is not None:
        metadata |= {"PhysicalSizeX": mpp.col, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": mpp.row, "PhysicalSizeYUnit": "µm"}
    if seconds is not None:
        metadata |= {"TimeIncrement": seconds, "TimeIncrementUnit": "s"}
    tifffile.imwrite(file, labels, ome=True, photometric="minisblack", compression="zlib", metadata=metadata)
    if not np.array_equal(tifffile.imread(file).reshape(labels.shape), labels):
        raise ImageFileError(f"{name} reads back differently from what was written; try another disk.")


def _facts(
    name: str,
    sha256: str,
    volume: Volume,
    provenance: Provenance,
    objects: list[Structure],
    pixels: NDArray[np.int64],
    seconds: float | None,
) -> dict[str, Any]:
    labels = {
        str(s.label_id): {"Name": s.name, "Frames": int((counts > 0).sum()), "Pixels": int(counts.sum())}
        for s, counts in zip(objects, pixels, strict=True)
    }
    output = {"File": name, "sha256": sha256, "Empty": not pixels.any(), "Labels": labels}
    return {
        **facts_of(volume, provenance),
        "Description": "Labels of a film, made with napari-sam2 from prompts that a person gave.",
        "FrameSeconds": seconds,
        "Outputs": [output],
    }


def _table(objects: list[Structure], pixels: NDArray[np.int64]) -> str:
    rows = [
        {"index": s.label_id, "name": s.name, "frames": int((counts > 0).sum()), "pixels": int(counts.sum())}
        for s, counts in zip(objects, pixels, strict=True)
    ]
    return csv_text(rows, "\t") or "index\tname\tframes\tpixels\n"


def _areas(objects: list[Structure], pixels: NDArray[np.int64], seconds: float | None, mm2: float | None) -> str:
    """One row per object and frame."""
    rows = [
        {
            "frame": t,
            "seconds": "" if seconds is None else t * seconds,
            "index": s.label_id,
            "name": s.name,
            "pixels": int(count),
            "area_mm2": "" if mm2 is None else count * mm2,
        }
        for s, counts in zip(objects, pixels, strict=True)
        for t, count in enumerate(counts)
    ]
    return csv_text(rows) or "frame,seconds,index,name,pixels,area_mm2\n"
