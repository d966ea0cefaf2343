"""``napari-sam2 measure``: numbers about a label map.

And its agreement with another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Image, Overwrite, Series, VolumeIndex, series_choice
from napari_sam2.cli.printing import out
from napari_sam2.errors import UserInputError

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
    earlier: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--earlier", help="Image and label map of an earlier scan, for growth.", metavar="IMAGE LABELS"),
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Of the surface Dice (NSD), in mm.")] = 1.0,
    series: Series = None,
    volume: VolumeIndex = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure every object: mL, long and short axis, intensities.

    Compare with a reference or an earlier scan.

    napari-sam2 measure ct.nii.gz liver.nii.gz --csv liver.csv
    """
    from napari_sam2.io.atomic import check_folder
    from napari_sam2.io.measurements import agreement_file, growth_file, measure_file, write_rows

    if csv is not None:
        check_folder(csv)
    part: dict[str, Any] = {"series": series_choice(series), "volume_index": volume}
    if earlier is not None and against is not None:
        raise UserInputError("Give either --against or --earlier, not both.")
    columns: Sequence[str]
    if earlier is not None:
        rows = growth_file(earlier, (image, labels))
        columns = list(rows[0]) if rows else []
    elif against is None:
        rows = measure_file(image, labels, **part)
        columns = SHOWN
    else:
        rows = agreement_file(image, labels, against, tolerance_mm=tolerance, **part)
        columns = COMPARED
    out.print(_table(rows, columns))
    if csv is not None:
        write_rows(rows, csv, overwrite=overwrite)
        out.print(f"wrote {csv}")


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
