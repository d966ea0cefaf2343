"""``napari-sam2 slide``: prompts or a region on a whole-slide image to outlines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    DetectorChoice,
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
from napari_sam2.errors import UserInputError
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import ObjectRequest

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
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="What to outline by its name, found by --detector, unseen.", metavar="NAME"),
    ] = None,
    detector: DetectorChoice = "",
    auto: Annotated[
        str | None,
        typer.Option(
            "--auto",
            help="Without prompts: 'tissue', row0,column0,row1,column1 or a GeoJSON; 'nuclei', or 'nuclei:REGION'.",
            metavar="REGION",
        ),
    ] = None,
    objects: Annotated[
        Path | None,
        typer.Option("--objects", help="Objects of another program: GeoJSON, ImageJ .roi/.zip, label picture, .npy."),
    ] = None,
    object_size: Annotated[
        str | None, typer.Option("--object-size", help="For --auto: expected diameter, such as 60um or 240px.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="For --auto: a GeoJSON of outlines as large as what is looked for.")
    ] = None,
    refine: Annotated[
        int,
        typer.Option(
            "--refine", min=0, help="For --prompts: look again at each outline, this often at twice the detail."
        ),
    ] = 0,
    overlap: Annotated[
        str, typer.Option("--overlap", help="For --prompts: keep all, or the 'first' or 'last' object keeps its part.")
    ] = "keep",
    mpp: Annotated[
        float | None, typer.Option("--mpp", help="Microns per pixel, when the file does not say; never invented.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            help="Fluorescence: a channel by number or name, as DAPI, DAPI=blue or DAPI=00a0ff:100:4000; repeatable.",
            metavar="NAME[=COLOUR][:LOW:HIGH]",
        ),
    ] = None,
    polarity: Annotated[
        str, typer.Option("--polarity", help="Background: 'bright' (glass) or 'dark' (fluorescence), not as it looks.")
    ] = "auto",
    image: Annotated[
        str | None, typer.Option("--image", help="Of a file with several pictures: which, by number or name.")
    ] = None,
    plane: Annotated[
        str | None, typer.Option("--plane", help="Of a stack: the plane along z, from 0; or z=3,t=2.")
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
    if bool(text) != bool(detector):
        raise UserInputError("--text and --detector belong together: a detector says where a name is seen.")
    if text and (prompts is not None or auto is not None):
        raise UserInputError("Say what to segment: one of --prompts, --text and --auto.")

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("Segmenting", total=None)
        run = segment_slide(
            slide_file,
            output,
            prompts=_named(text, detector, device, output) if text else prompts,
            auto=auto,
            objects=objects,
            object_size=object_size,
            like=like,
            refine_steps=refine,
            overlap=overlap,
            mpp=mpp,
            channel=[number_or_text(text) for text in channel] if channel else None,
            polarity=polarity,
            image=image,
            plane=plane,
            model=lambda: chosen_model(model, device, "auto", remote, token_file),
            overwrite=overwrite,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for note in run.notes:
        errors.print(f"note: {note}")
    out.print(f"{run.n_objects} objects; wrote {run.output}")


def _named(names: list[str], detector: str, device: str, output: Path) -> Callable[[Slide], list[ObjectRequest]]:
    from napari_sam2.finding.asking import Asked
    from napari_sam2.finding.on_slides import boxes_on_slide
    from napari_sam2.io.guard import refuse_inputs_as_outputs
    from napari_sam2.jobs.slide import files_of_objects

    detection = Asked(detector=detector, device=device).detection()
    refuse_inputs_as_outputs(detection.files, files_of_objects(output))
    return boxes_on_slide(detection, names, lambda sentence: errors.print(f"note: {sentence}"))
