"""Objects of a slide as a table (CSV).

One row each, safe to open in a spreadsheet.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

from napari_sam2.io.atomic import atomic_write

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.objects import SlideObject

__all__ = ["write_object_table"]

COLUMNS: Final = (
    "label", "id", "name", "class", "score", "area_px", "area_um2", "perimeter_um", "parts", "holes",
    "centroid_row", "centroid_column", "row_min", "column_min", "row_max", "column_max", "locked",
)  # fmt: skip
"""``label`` is the object's number in a label mosaic written from the same objects."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs text that begins so as a formula (OWASP, CSV Injection)."""


def write_object_table(
    objects: Iterable[SlideObject], path: str | os.PathLike[str], mpp: Mpp | None = None, *, overwrite: bool = False
) -> int:
    """Write measurements of objects.

    Columns in microns are empty when the pixel's size is not known.

    Returns
    -------
    int
        How many objects were written.
    """
    count = 0
    with (
        atomic_write(path, overwrite=overwrite) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for obj in objects:
            count += 1
            writer.writerow([_safe(value) for value in _row(count, obj, mpp)])
    return count


def _row(label: int, obj: SlideObject, mpp: Mpp | None) -> list[object]:
    import shapely

    shape = obj.geometry
    area_um2: object = ""
    perimeter: object = ""
    if mpp is not None:
        area_um2 = round(shape.area * mpp.area, 3)
        perimeter = round(shapely.transform(shape, lambda xy: xy * (mpp.col, mpp.row)).length, 3)
    parts = shapely.get_parts(shape)
    centre = [] if shape.is_empty else [round(shape.centroid.y, 2), round(shape.centroid.x, 2)]
    col0, row0, col1, row1 = shape.bounds if not shape.is_empty else ("",) * 4
    score = "" if obj.score is None else round(obj.score, 4)
    return [
        label, obj.object_id, obj.name, obj.class_name, score, round(shape.area, 3), area_um2, perimeter,
        len(parts), sum(max(len(shapely.get_rings(p)) - 1, 0) for p in parts), *(centre or ["", ""]),
        row0, col0, row1, col1, obj.finished,
    ]  # fmt: skip


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
