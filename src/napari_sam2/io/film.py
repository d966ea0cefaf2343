"""Labels of a film.

An OME-TIFF of frames, with a table of objects beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tifffile

from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import ImageFileError
from napari_sam2.io.atomic import as_utf8
from napari_sam2.io.file_set import file_set
from napari_sam2.io.sidecar import sidecar_paths
from napari_sam2.tables import csv_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.pixel_size import Mpp

__all__ = ["FILM_ENDINGS", "write_label_film"]

FILM_ENDINGS: Final = (".ome.tif", ".ome.tiff")


def write_label_film(
    frames: NDArray[np.integer],
    path: str | os.PathLike[str],
    names: Mapping[int, str],
    mpp: Mpp | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write labels over time.

    They are read back and compared before anything takes the target's name.

    Parameters
    ----------
    frames : (T, rows, columns) array of int
        Object ids; 0 is nothing.
    path : path-like
        Ending in one of `FILM_ENDINGS`. ``<name>.tsv`` beside it lists id, name, frames and pixels.
    names : mapping of int to str
        By object id.
    mpp : Mpp, optional
        Microns per pixel, written as PhysicalSize.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `napari_sam2.io.file_set.file_set`.
    ImageFileError
        If what was written reads back differently.
    """
    target = Path(path)
    dtype = np.dtype(label_dtype(int(frames.max(initial=0))))
    labels = frames.astype(np.uint32 if dtype == np.int32 else dtype)
    metadata: dict[str, Any] = {"axes": "TYX"}
    if mpp is not None:
        metadata |= {"PhysicalSizeX": mpp.col, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": mpp.row, "PhysicalSizeYUnit": "µm"}
    rows = [
        {"index": i, "name": name, "frames": int(inside.any(axis=(1, 2)).sum()), "pixels": int(inside.sum())}
        for i, name in names.items()
        for inside in (labels == i,)
    ]
    with file_set((target, sidecar_paths(target)[1]), overwrite=overwrite) as (film, table):
        tifffile.imwrite(film, labels, ome=True, photometric="minisblack", compression="zlib", metadata=metadata)
        if not np.array_equal(tifffile.imread(film).reshape(labels.shape), labels):
            raise ImageFileError(f"{target.name} reads back differently from what was written; try another disk.")
        table.write_bytes(as_utf8(csv_text(rows, "\t")))
