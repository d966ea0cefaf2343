"""``napari-sam2 export``: a label map into the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Overwrite, Series, VolumeIndex, is_whole_number, series_choice
from napari_sam2.cli.printing import echo, errors
from napari_sam2.errors import UserInputError
from napari_sam2.io.formats import exported_suffixes

__all__ = ["bids", "export"]


@app.command()
def export(
    labels: Annotated[Path, typer.Argument(help="A label map.")],
    reference: Annotated[Path, typer.Option("--reference", help="The image: a file, or a folder of DICOM.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=f"OUT with one of {', '.join(exported_suffixes())}.")],
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
    """Convert a label map.

    .seg.nrrd for Slicer, .dcm for PACS, .ome.zarr, .ctbl and .txt for names and colours.

    napari-sam2 export liver.nii.gz --reference dicom-folder -o liver.dcm --name 1=liver
    """
    from napari_sam2.io.export import export_labels, notices_before

    for notice in notices_before(output):
        errors.print(f"note: {notice}")
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
    for note in exported.notes:
        errors.print(f"note: {note}")
    echo(f"wrote {exported.path}")


@app.command()
def bids(
    labels: Annotated[Path, typer.Argument(help="A label map.")],
    reference: Annotated[Path, typer.Option("--reference", help="The image, with a BIDS name.")],
    root: Annotated[Path, typer.Option("--root", help="The derivative dataset, made if missing.")],
    subject: Annotated[str, typer.Option("--subject", help="When the image has no BIDS name.")] = "",
    description: Annotated[str, typer.Option("--description", help="The desc entity of the files.")] = "",
    overwrite: Overwrite = False,
) -> None:
    """File a label map as a BIDS derivative.

    _dseg.nii.gz with .json, .tsv and dataset_description.json.

    napari-sam2 bids liver.nii.gz --reference sub-01_T1w.nii.gz --root derivatives/napari-sam2
    """
    from napari_sam2.core.prompts import ObjectPrompts
    from napari_sam2.io import read_volume
    from napari_sam2.io.bids import write_bids_derivative
    from napari_sam2.io.export import find_names
    from napari_sam2.io.labels import read_named_labels
    from napari_sam2.io.sidecar import Provenance

    scan = read_volume(reference)
    label_map, own_names = read_named_labels(labels, scan)
    names = own_names or find_names(labels)
    provenance = Provenance(objects=[ObjectPrompts(i, (), name) for i, name in names.items()])
    for path in write_bids_derivative(
        label_map, scan, root, provenance, subject=subject, description=description, overwrite=overwrite
    ):
        echo(f"wrote {path}")


def _names(own_names: list[str]) -> dict[int, str]:
    names = {}
    for text in own_names:
        number, _, name = text.partition("=")
        if not is_whole_number(number) or not name:
            raise UserInputError(f"--name {text[:60]}: give ID=NAME, for example 1=liver.")
        names[int(number)] = name
    return names
