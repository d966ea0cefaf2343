"""``napari-sam2 evaluate``: how good a model is on a scan with known labels, with simulated prompts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Device, Image, Model, VolumeIndex, WindowSpec, ready_model
from napari_sam2.cli.progress import errors
from napari_sam2.errors import UserInputError
from napari_sam2.models import DEFAULT_MODEL

__all__ = ["evaluate"]


@app.command()
def evaluate(
    image: Image,
    labels: Annotated[Path, typer.Argument(help="Known labels on the image's grid.")],
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", help="box, clicks, box-propagate or mask-propagate; may be repeated."),
    ] = None,
    ids: Annotated[str | None, typer.Option("--labels", help="Only these ids.", metavar="1,5")] = None,
    model: Model = DEFAULT_MODEL,
    window: WindowSpec = "auto",
    blank: Annotated[bool, typer.Option(help="Also with the image hidden: does the model look at it at all?")] = True,
    baselines: Annotated[bool, typer.Option(help="Also classical methods with the same prompts.")] = True,
    volume: VolumeIndex = None,
    device: Device = "auto",
    as_json: Annotated[Path | None, typer.Option("--json", help="Write all scores to this file.")] = None,
) -> None:
    """Score a model with simulated boxes and clicks against known labels.

    The box is tight, on the slice where the object is largest; each further click lies deepest in the
    largest error. Dice of the largest component of each object. Example:

    napari-sam2 evaluate ct.nii.gz ct_labels.nii.gz --labels 1,5 --protocol box
    """
    import numpy as np

    from napari_sam2.core.window import choose_window
    from napari_sam2.evaluation.cases import make_case
    from napari_sam2.evaluation.evaluate import evaluate_case
    from napari_sam2.evaluation.gate import table
    from napari_sam2.evaluation.protocols import PROTOCOLS
    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.io.atomic import check_folder, write_text

    unknown = sorted(set(protocol or []) - set(PROTOCOLS))
    if unknown:
        raise UserInputError(f"--protocol {unknown[0]}: choose among {', '.join(PROTOCOLS)}.")
    if as_json is not None:
        check_folder(as_json)
    scan = read_volume(image, volume_index=volume)
    known = read_labels(labels, scan)
    wanted = _ids(ids, {int(i) for i in np.unique(known)} - {0})
    chosen, loaded = choose_window(scan, window), ready_model(model, device)
    scores = []
    for label_id in wanted:
        errors.print(f"scoring object {label_id}", markup=False)
        case = make_case(scan.source.name, f"object {label_id}", scan, known == label_id, chosen)
        scores.append(evaluate_case(case, loaded, protocols=protocol or PROTOCOLS, blank=blank, baselines=baselines))
    out = Console(highlight=False, soft_wrap=True)
    out.print(table(scores), markup=False)
    out.print(f"model {loaded.card.name}, window {chosen.name} ({chosen.low:g} to {chosen.high:g})", markup=False)
    if as_json is not None:
        write_text(as_json, json.dumps([asdict(s) for s in scores], indent=1) + "\n", overwrite=True)


def _ids(text: str | None, present: set[int]) -> list[int]:
    if text is None:
        return sorted(present)
    parts = [part.strip() for part in text.split(",")]
    missing = [part for part in parts if not part.isdigit() or int(part) not in present]
    if missing:
        raise UserInputError(f"--labels {text}: there is no label {', '.join(missing)} in the file.")
    return [int(part) for part in parts]
