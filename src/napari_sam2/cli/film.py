"""``napari-sam2 film``: objects followed through a film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    DetectorChoice,
    Device,
    Model,
    Overwrite,
    Quality,
    Remote,
    TokenFile,
    WindowSpec,
    chosen_model,
    prompts_from_flags,
    slice_range,
)
from napari_sam2.cli.printing import echo, note, out
from napari_sam2.cli.progress import with_progress_bar
from napari_sam2.errors import UserInputError
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.core.prompts import ObjectPrompts
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.jobs.film import FilmRun

__all__ = ["film"]


@app.command()
def film(
    clip: Annotated[Path, typer.Argument(help="TIFF, GIF, multi-frame DICOM, NIfTI over time, AVI, MP4 and others.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The labels frame by frame, .ome.tif.")],
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A prompt file; voxels are [column, row, frame].")
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", help="Opposite corners on a frame, both inside.", metavar="col0,row0,t,col1,row1,t"),
    ] = None,
    point: Annotated[list[str] | None, typer.Option("--point", help="Include this pixel.", metavar="col,row,t")] = None,
    negative: Annotated[
        list[str] | None, typer.Option("--negative", help="Exclude this pixel.", metavar="col,row,t")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="What to follow by its name, found by --detector, unseen.", metavar="NAME"),
    ] = None,
    detector: DetectorChoice = "",
    model: Model = DEFAULT_MODEL,
    frames: Annotated[
        str | None, typer.Option("--frames", help="Only these frames, A to B - 1.", metavar="A:B")
    ] = None,
    direction: Annotated[str, typer.Option("--direction", help="both, forward, backward or none.")] = "both",
    window: WindowSpec = "auto",
    device: Device = "auto",
    quality: Quality = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Follow objects through a film.

    From a box or a few clicks on any frame.

    All --box, --point and --negative flags describe object 1; several objects come from a prompt file and keep their
    ids. Beside the labels lie how they were made (.json), a table of objects (.tsv), and their areas over time as a
    table (_areas.csv) and a picture (_areas.png). Example:

    napari-sam2 film beat.mp4 -o ventricle.ome.tif --box 210,140,0,330,260,0
    """
    from napari_sam2.jobs.film import segment_film

    flagged = prompts_from_flags(box or [], point or [], negative or [])
    if (prompts is not None) + bool(flagged) + bool(text) != 1:
        raise UserInputError("Say what to follow: one of --prompts, --text, or --box, --point and --negative.")
    if bool(text) != bool(detector):
        raise UserInputError("--text and --detector belong together: a detector says where a name is seen.")
    run = segment_film(
        clip,
        output,
        _named(text, detector, device, output) if text else flagged if prompts is None else prompts,
        model=lambda: chosen_model(model, device, quality, remote, token_file),
        window=window,
        frames=slice_range(frames),
        direction=direction,
        overwrite=overwrite,
        say=note,
        watch=with_progress_bar,
    )
    for sentence in run.notes:
        note(sentence)
    if as_json:
        echo(json.dumps({"output": str(run.output), "seconds": round(run.seconds, 3), "objects": run.objects}))
    else:
        _print_table(run)


def _named(
    names: list[str], detector: str, device: str, output: Path
) -> Callable[[Volume, Window], list[ObjectPrompts]]:
    from napari_sam2.finding.asking import Asked
    from napari_sam2.finding.job import seen_on_film
    from napari_sam2.io.film import files_of_film
    from napari_sam2.io.guard import refuse_inputs_as_outputs

    proposer = Asked(detector=detector, device=device).proposer()
    refuse_inputs_as_outputs(proposer.files, files_of_film(output))
    return seen_on_film(proposer, names, note)


def _print_table(run: FilmRun) -> None:
    table = Table("id", "name", "frames", "mean area (px)")
    for row in run.objects:
        span = f"{row['frames'][0]} to {row['frames'][1]} ({row['n_frames']})" if row["frames"] else "none"
        table.add_row(str(row["id"]), row["name"], span, f"{row['mean_pixels']:.1f}")
    out.print(table)
    out.print(f"model {run.session.model.card.name}, {run.seconds:.1f} s")
    out.print(f"wrote {run.output}")
