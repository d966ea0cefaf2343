"""``napari-sam2 measure``: numbers about a label map.

And its agreement with another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Channels, Image, Overwrite, Register, Series, VolumeIndex, series_choice
from napari_sam2.cli.printing import note, out
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
    channel: Channels = None,
    register: Register = "",
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
    if image.exists() and labels.exists() and image.samefile(labels):
        raise UserInputError(f"{labels.name} is given as the scan and as its labels; give a label map of the scan.")
    part: dict[str, Any] = {"series": series_choice(series), "volume_index": volume}
    if earlier is not None and against is not None:
        raise UserInputError("Give either --against or --earlier, not both.")
    if (channel or register) and (earlier is not None or against is not None):
        raise UserInputError("--channel is for intensities; leave it out with --against and --earlier.")
    columns: Sequence[str]
    if earlier is not None:
        rows = growth_file(earlier, (image, labels))
        columns = list(rows[0]) if rows else []
    elif against is None:
        rows = measure_file(image, labels, **part)
        columns = SHOWN
        if channel or register:
            rows, means = _with_channels(rows, image, labels, channel or [], register, part)
            columns = (*SHOWN, *means)
    else:
        rows = agreement_file(image, labels, against, tolerance_mm=tolerance, **part)
        columns = COMPARED
    out.print(_table(rows, columns))
    if csv is not None:
        write_rows(rows, csv, overwrite=overwrite)
        out.print(f"wrote {csv}")


def _with_channels(
    rows: list[dict[str, Any]], image: Path, labels: Path, given: list[str], register: str, part: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows with the intensities of further channels, and the columns of their means."""
    from napari_sam2.channels.measuring import channel_columns
    from napari_sam2.channels.opening import channel_files, read_stack
    from napari_sam2.io import read_labels, read_volume

    if not given:
        raise UserInputError("--register is for further channels; give them with --channel.")
    scan = read_volume(image, **part)
    index = part["volume_index"]
    stack = read_stack(scan, channel_files(given), register=register, reference_index=index, say=note)
    columns = channel_columns(stack, read_labels(labels, scan), [row["id"] for row in rows])
    means = [key for key in next(iter(columns.values()), {}) if "_mean" in key]
    return [row | columns[row["id"]] for row in rows], means


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
