"""``napari-sam2 measure``: numbers about a label map, and its agreement with another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Image, Overwrite, VolumeIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["measure"]

SHOWN = ("id", "name", "volume_ml", "long_axis_mm", "short_axis_mm", "components", "touches_border")
COMPARED = ("id", "name", "dice", "volume_difference_ml", "hd95_mm", "assd_mm", "nsd")


@app.command()
def measure(
    image: Image,
    labels: Annotated[Path, typer.Argument(help="A label map on the image's grid.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all columns to this file.")] = None,
    against: Annotated[Path | None, typer.Option("--against", help="A reference label map to compare with.")] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Of the surface Dice (NSD), in mm.")] = 1.0,
    volume: VolumeIndex = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure every object: mL, long and short axis, intensities; or compare with a reference.

    napari-sam2 measure ct.nii.gz liver.nii.gz --csv liver.csv
    """
    from napari_sam2 import measure as measuring
    from napari_sam2 import metrics
    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.io.atomic import check_folder, write_text
    from napari_sam2.tables import csv_text

    if csv is not None:
        check_folder(csv)
    scan = read_volume(image, volume_index=volume)
    found = read_labels(labels, scan)
    if against is None:
        rows = measuring.measurement_rows(measuring.measure(found, scan))
        columns: Sequence[str] = SHOWN
    else:
        reference = read_labels(against, scan)
        rows = metrics.agreement_rows(metrics.compare_labels(reference, found, scan, tolerance))
        columns = COMPARED
    out = Console(highlight=False, soft_wrap=True)
    out.print(_table(rows, columns))
    if csv is not None:
        write_text(csv, csv_text(rows), overwrite=overwrite)
        out.print(f"wrote {csv}", markup=False)


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
