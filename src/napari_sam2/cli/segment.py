"""``napari-sam2 segment``: prompts on a scan to a label map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    AnswerChoice,
    Channels,
    DetectorChoice,
    Device,
    Fusion,
    Image,
    MemoryChoice,
    Methods,
    Model,
    Overwrite,
    ProgramChoice,
    Quality,
    Register,
    Remote,
    Series,
    TokenFile,
    VolumeIndex,
    WindowSpec,
    chosen_model,
    print_methods,
    prompts_from_flags,
    series_choice,
    slice_range,
)
from napari_sam2.cli.printing import echo, note, out
from napari_sam2.cli.progress import answering_bar, with_progress_bar
from napari_sam2.errors import UserInputError
from napari_sam2.io.formats import label_suffixes
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.finding.accepting import Accepted
    from napari_sam2.finding.asking import Asked
    from napari_sam2.jobs.segment import ScanRun

__all__ = ["segment"]


@app.command()
def segment(
    image: Image,
    output: Annotated[Path, typer.Option("--output", "-o", help=f"The label map, {' or '.join(label_suffixes())}.")],
    prompts: Annotated[Path | None, typer.Option("--prompts", help="A prompt file, for several objects.")] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            "--box",
            help="Opposite corners on a slice, both inside; other planes: a 3-D box.",
            metavar="i0,j0,k0,i1,j1,k1",
        ),
    ] = None,
    point: Annotated[list[str] | None, typer.Option("--point", help="Include this voxel.", metavar="i,j,k")] = None,
    negative: Annotated[
        list[str] | None, typer.Option("--negative", help="Exclude this voxel.", metavar="i,j,k")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="A structure by its name, proposed by --memory and taken unseen.", metavar="NAME"),
    ] = None,
    memory: MemoryChoice = None,
    program: ProgramChoice = "",
    detector: DetectorChoice = "",
    answer: AnswerChoice = None,
    model: Model = DEFAULT_MODEL,
    plane: Annotated[
        str | None, typer.Option("--plane", help="axial, coronal or sagittal slices, when there are only points.")
    ] = None,
    slices: Annotated[
        str | None, typer.Option("--slices", help="Only these slices, A to B - 1.", metavar="A:B")
    ] = None,
    direction: Annotated[str, typer.Option("--direction", help="both, forward, backward or none.")] = "both",
    window: WindowSpec = "auto",
    volume: VolumeIndex = None,
    channel: Channels = None,
    register: Register = "",
    fusion: Fusion = "auto",
    series: Series = None,
    device: Device = "auto",
    quality: Quality = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    overwrite: Overwrite = False,
    keep_session: Annotated[
        bool, typer.Option("--session", help="Keep a session beside the output, for 'napari-sam2 replay'.")
    ] = False,
    methods: Methods = False,
    check_planes: Annotated[
        bool, typer.Option("--check-planes", help="Carry every object along all three axes, and say where they differ.")
    ] = False,
    feature_folder: Annotated[
        Path | None,
        typer.Option(
            "--feature-folder",
            help="Keep what a SAM 2 model computes of slices here, for later runs; as private as the scan.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment objects of a scan from a box or a few clicks.

    All --box, --point and --negative flags describe object 1, in voxel indices (i, j, k) in the stored
    order of the file. Example:

    napari-sam2 segment ct.nii.gz -o liver.nii.gz --box 40,30,60,90,80,60

    Boxes on two or three planes, and --slices, bound the object, and the planes are voted:

    napari-sam2 segment ct.nii.gz -o liver.nii.gz --box 40,30,60,90,80,60 --box 65,30,40,65,80,85

    Further sequences or modalities of the same patient help where one does not show the object:

    napari-sam2 segment flair.nii.gz --channel t1c.nii.gz --register rigid -o tumour.nii.gz --box 40,30,60,90,80,60

    A name is placed from finished scans of the project (see 'napari-sam2 find'):

    napari-sam2 segment ct.nii.gz -o liver.nii.gz --text liver --memory project.csv
    """
    from napari_sam2.finding.asking import Asked
    from napari_sam2.jobs.segment import segment_scan

    flagged = prompts_from_flags(box or [], point or [], negative or [])
    if (prompts is not None) + bool(flagged) + bool(text) > 1:
        raise UserInputError("Give one of --prompts, --text, or --box, --point and --negative.")
    source = Asked(memory, program, detector, device)
    if bool(text) != bool(source):
        raise UserInputError(
            "--text and --memory (or --program, --detector) belong together: they say where a name lies."
        )
    become = source.answer(answer, text)
    if remote is not None and feature_folder is not None:
        raise UserInputError("--feature-folder is for a model on this machine; leave it out with --remote.")
    asked = flagged if prompts is None else prompts
    with answering_bar() as on_answered:
        run = segment_scan(
            image,
            output,
            _named(text, source, become, output, keep_session) if text else asked,
            model=lambda: chosen_model(model, device, quality, remote, token_file),
            window=window,
            plane=plane,
            slices=slice_range(slices),
            direction=direction,
            volume_index=volume,
            series=series_choice(series),
            keep_session=keep_session,
            check_planes=check_planes,
            feature_folder=feature_folder,
            channels=channel or (),
            register=register,
            fusion=fusion,
            overwrite=overwrite,
            say=note,
            watch=with_progress_bar,
            on_answered=on_answered,
        )
    for sentence in run.notes:
        note(sentence)
    if as_json:
        _print_json(run)
    else:
        _print_table(run)
    if methods:
        print_methods(run.output)


def _named(
    names: list[str], source: Asked, answer: str, output: Path, keep_session: bool
) -> Callable[[Volume, Window], Accepted]:
    from napari_sam2.finding.job import accepted_from
    from napari_sam2.io.guard import refuse_inputs_as_outputs
    from napari_sam2.jobs.segment import files_of_label_map

    proposer = source.proposer()
    refuse_inputs_as_outputs(proposer.files, files_of_label_map(output, keep_session=keep_session))
    return accepted_from(proposer, names, answer, note)


def _print_json(run: ScanRun) -> None:
    card, window = run.session.model.card, run.session.window
    rows = [{**row, "planes": run.planes[row["id"]]} if row["id"] in run.planes else row for row in run.objects]
    report = {
        "output": str(run.output),
        "model": {"name": card.name, "revision": card.revision, "sha256": card.sha256},
        "window": {"name": window.name, "low": window.low, "high": window.high},
        "seconds": round(run.seconds, 3),
        "objects": rows,
    }
    echo(json.dumps(report))


def _print_table(run: ScanRun) -> None:
    card, window = run.session.model.card, run.session.window
    table = Table("id", "name", "volume (mL)", "voxels", "slices")
    for row in run.objects:
        span = f"{row['axis']} {row['slices'][0]} to {row['slices'][1]}" if row["slices"] else "none"
        table.add_row(
            str(row["id"]), row["name"] or f"object {row['id']}", f"{row['volume_ml']:.2f}", str(row["voxels"]), span
        )
    out.print(table)
    for object_id, planes in run.planes.items():
        pairs = ", ".join(f"{pair} {value:.2f}" for pair, value in planes["dice"].items())
        worst = ", ".join(str(index) for index in planes["least_agreement"])
        out.print(f"object {object_id}: Dice between planes {pairs}; least agreement on slices {worst}")
    out.print(f"model {card.name}, window {window.name} ({window.low:g} to {window.high:g}), {run.seconds:.1f} s")
    out.print(f"wrote {run.output}")
