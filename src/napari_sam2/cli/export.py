"""``napari-sam2 export``: a label map into the format of another program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Overwrite, Series, series_choice
from napari_sam2.cli.progress import errors
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.structures import Structure
    from napari_sam2.volume import Volume

__all__ = ["export"]


@app.command()
def export(
    labels: Annotated[Path, typer.Argument(help="A label map.")],
    reference: Annotated[Path, typer.Option("--reference", help="The image: a file, or a folder of DICOM.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="OUT.nii.gz, OUT.seg.nrrd, OUT.dcm, OUT.ctbl or OUT.txt.")
    ],
    names: Annotated[
        list[str] | None, typer.Option("--name", help="The name of an id; may be repeated.", metavar="ID=NAME")
    ] = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive-ids", help="Number ids from 1 without gaps, as nnU-Net demands (.nii.gz).")
    ] = False,
    series: Series = None,
    labelmap: Annotated[bool, typer.Option("--labelmap", help="DICOM SEG of type LABELMAP, not BINARY.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert a label map: .seg.nrrd for Slicer, .dcm for PACS, .ctbl and .txt for names and colours.

    napari-sam2 export liver.nii.gz --reference dicom-folder -o liver.dcm --name 1=liver
    """
    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.io.atomic import check_folder
    from napari_sam2.structures import structures_for

    check_folder(output)
    scan = read_volume(reference, series=series_choice(series))
    found = read_labels(labels, scan)
    structures = structures_for(found[found > 0], _names(names or []) or _names_beside(labels))
    if consecutive and not output.name.endswith((".nii", ".nii.gz")):
        raise UserInputError("--consecutive-ids is for .nii.gz; the other formats keep ids as they are.")
    _write(found, scan, output, structures, consecutive=consecutive, labelmap=labelmap, overwrite=overwrite)
    typer.echo(f"wrote {output}")


def _write(
    labels: NDArray,  # type: ignore[type-arg]
    scan: Volume,
    output: Path,
    structures: list[Structure],
    *,
    consecutive: bool,
    labelmap: bool,
    overwrite: bool,
) -> None:
    name = output.name.lower()
    if name.endswith(".seg.nrrd"):
        from napari_sam2.io.seg_nrrd import write_seg_nrrd

        write_seg_nrrd(labels, scan, output, structures, overwrite=overwrite)
    elif name.endswith(".dcm"):
        from napari_sam2.io.dicom_seg import write_dicom_seg

        errors.print("note: DICOM SEG carries the patient's name and id over from the source, as the standard demands.")
        write_dicom_seg(labels, scan, output, structures, model={}, labelmap=labelmap, overwrite=overwrite)
    elif name.endswith(".ctbl"):
        from napari_sam2.io.label_tables import write_slicer_colours

        write_slicer_colours(structures, output, overwrite=overwrite)
    elif name.endswith(".txt"):
        from napari_sam2.io.label_tables import write_itksnap_labels

        write_itksnap_labels(structures, output, overwrite=overwrite)
    elif name.endswith((".nii", ".nii.gz")):
        _write_nifti(labels, scan, output, consecutive, overwrite)
    else:
        raise UserInputError(f"{output.name}: use a name ending in .nii.gz, .seg.nrrd, .dcm, .ctbl or .txt.")


def _write_nifti(labels: NDArray, scan: Volume, output: Path, consecutive: bool, overwrite: bool) -> None:  # type: ignore[type-arg]
    from napari_sam2.io import write_labels
    from napari_sam2.io.atomic import write_text
    from napari_sam2.labels import consecutive_ids

    if not consecutive:
        write_labels(labels, scan, output, overwrite=overwrite)
        return
    numbered, mapping = consecutive_ids(labels)
    write_labels(numbered, scan, output, overwrite=overwrite)
    beside = output.with_name(output.name.removesuffix(".gz").removesuffix(".nii") + "_ids.json")
    write_text(beside, json.dumps({"old id to new id": mapping}, indent=1) + "\n", overwrite=overwrite)
    typer.echo(f"wrote {beside}")


def _names(given: list[str]) -> dict[int, str]:
    found = {}
    for text in given:
        number, _, name = text.partition("=")
        if not number.isdigit() or not name:
            raise UserInputError(f"--name {text}: give ID=NAME, for example 1=liver.")
        found[int(number)] = name
    return found


def _names_beside(labels: Path) -> dict[int, str]:
    """Names from the table that this program writes beside a label map, if it is there."""
    import csv

    from napari_sam2.io.sidecar import sidecar_paths

    table = sidecar_paths(labels)[1]
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {int(r["index"]): r["name"] for r in rows if (r.get("index") or "").isdigit() and r.get("name")}
