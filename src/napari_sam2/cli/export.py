"""``napari-sam2 export``: a label map into the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Overwrite, Series, VolumeIndex, series_choice
from napari_sam2.cli.progress import errors
from napari_sam2.errors import UserInputError

__all__ = ["export"]


@app.command()
def export(
    labels: Annotated[Path, typer.Argument(help="A label map.")],
    reference: Annotated[Path, typer.Option("--reference", help="The image: a file, or a folder of DICOM.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="OUT.nii.gz, .seg.nrrd, .dcm, .ome.zarr, .ctbl or .txt.")
    ],
    names: Annotated[
        list[str] | None, typer.Option("--name", help="The name of an id; may be repeated.", metavar="ID=NAME")
    ] = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive-ids", help="Number ids from 1 without gaps, as nnU-Net demands.")
    ] = False,
    series: Series = None,
    volume: VolumeIndex = None,
    labelmap: Annotated[bool, typer.Option("--labelmap", help="DICOM SEG of type LABELMAP, not BINARY.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert a label map: .seg.nrrd for Slicer, .dcm for PACS, .ome.zarr, .ctbl and .txt for names and colours.

    napari-sam2 export liver.nii.gz --reference dicom-folder -o liver.dcm --name 1=liver
    """
    from napari_sam2.io.export import export_labels, notices_before

    for notice in notices_before(output):
        errors.print(f"note: {notice}", markup=False)
    exported = export_labels(
        labels,
        reference,
        output,
        names=_names(names or []),
        consecutive=consecutive,
        labelmap=labelmap,
        series=series_choice(series),
        volume_index=volume,
        overwrite=overwrite,
    )
    typer.echo(f"wrote {exported.path}")


def _names(given: list[str]) -> dict[int, str]:
    found = {}
    for text in given:
        number, _, name = text.partition("=")
        if not number.isdigit() or not name:
            raise UserInputError(f"--name {text}: give ID=NAME, for example 1=liver.")
        found[int(number)] = name
    return found
