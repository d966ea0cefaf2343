"""``napari-sam2 slide``: prompts or a region on a whole-slide image to outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    Device,
    Model,
    Overwrite,
    Remote,
    TokenFile,
    check_remote,
    chosen_model,
    number_or_text,
)
from napari_sam2.cli.printing import errors, out
from napari_sam2.models import DEFAULT_MODEL

__all__ = ["slide"]


@app.command()
def slide(
    slide_file: Annotated[Path, typer.Argument(metavar="SLIDE", help="A whole-slide image, or any picture.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="OUT.geojson (QuPath), OUT.csv, OUT.coco.json or OUT.ome.tif.")
    ],
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A prompt file in level-0 pixels [row, column].")
    ] = None,
    auto: Annotated[
        str | None,
        typer.Option(
            "--auto",
            help="Without prompts: 'tissue', row0,column0,row1,column1 or a GeoJSON; 'nuclei', or 'nuclei:REGION'.",
            metavar="REGION",
        ),
    ] = None,
    object_size: Annotated[
        str | None, typer.Option("--object-size", help="For --auto: expected diameter, such as 60um or 240px.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="For --auto: a GeoJSON of outlines as large as what is looked for.")
    ] = None,
    refine: Annotated[
        int, typer.Option("--refine", help="For --prompts: look again at each outline, this often at twice the detail.")
    ] = 0,
    overlap: Annotated[
        str, typer.Option("--overlap", help="For --prompts: keep all, or the 'first' or 'last' object keeps its part.")
    ] = "keep",
    mpp: Annotated[
        float | None, typer.Option("--mpp", help="Microns per pixel, when the file does not say; never invented.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Fluorescence: which channel, by number or name.")
    ] = None,
    polarity: Annotated[
        str, typer.Option("--polarity", help="Background: 'bright' (glass) or 'dark' (fluorescence), not as it looks.")
    ] = "auto",
    image: Annotated[
        str | None, typer.Option("--image", help="Of a file with several pictures: which, by number or name.")
    ] = None,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Segment objects on a slide of any size.

    From a prompt file or inside a region.

    napari-sam2 slide slide.svs --prompts glands.json -o glands.geojson
    """
    from napari_sam2.jobs.slide import segment_slide

    check_remote(device, "auto", remote, token_file)

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("Segmenting", total=None)
        run = segment_slide(
            slide_file,
            output,
            prompts=prompts,
            auto=auto,
            object_size=object_size,
            like=like,
            refine_steps=refine,
            overlap=overlap,
            mpp=mpp,
            channel=None if channel is None else number_or_text(channel),
            polarity=polarity,
            image=image,
            model=lambda: chosen_model(model, device, "auto", remote, token_file),
            overwrite=overwrite,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for note in run.notes:
        errors.print(f"note: {note}")
    out.print(f"{run.n_objects} objects; wrote {run.output}")
