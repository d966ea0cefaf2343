"""``napari-sam2 find``: places of named structures, as prompts to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    AnswerChoice,
    DetectorChoice,
    Device,
    Image,
    MemoryChoice,
    Overwrite,
    ProgramChoice,
    Series,
    VolumeIndex,
    WindowSpec,
    series_choice,
)
from napari_sam2.cli.printing import echo, note, out
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from napari_sam2.finding.candidate import Candidate, Found

__all__ = ["find"]


@app.command()
def find(
    image: Image,
    names: Annotated[list[str], typer.Argument(help="What to find: names or SNOMED CT codes.", metavar="NAME...")],
    memory: MemoryChoice = None,
    program: ProgramChoice = "",
    detector: DetectorChoice = "",
    answer: AnswerChoice = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A prompt file for 'segment --prompts' or the window.")
    ] = None,
    least_score: Annotated[
        float | None, typer.Option("--least-score", min=0, max=1, help="Below it a structure counts as not found.")
    ] = None,
    device: Device = "auto",
    require: Annotated[bool, typer.Option("--require", help="End with exit code 2 when a name is not found.")] = False,
    window: WindowSpec = "auto",
    volume: VolumeIndex = None,
    series: Series = None,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the candidates as JSON.")] = False,
) -> None:
    """Propose where named structures lie.

    From finished scans of the same project; nothing is segmented.

    napari-sam2 find new.nii.gz liver "left kidney" --memory project.csv -o prompts.json

    Candidates are placed, not understood: look at each of them before you use it.
    """
    from napari_sam2.finding.accepting import as_object
    from napari_sam2.finding.asking import Asked
    from napari_sam2.finding.job import look_for
    from napari_sam2.io.atomic import check_folder, check_free
    from napari_sam2.io.guard import refuse_inputs_as_outputs
    from napari_sam2.io.prompt_file_write import write_prompt_file

    source = Asked(memory, program, detector, device)
    become, proposer = source.answer(answer, names), source.proposer(least_score)
    if output is not None:
        check_folder(output)
        check_free(output, overwrite=overwrite)
        refuse_inputs_as_outputs(proposer.files, [output])
    scan, found = look_for(
        proposer, image, names, window=window, volume_index=volume, series=series_choice(series), say=note
    )
    if output is not None and found.candidates:
        objects = [as_object(c, scan, number, become) for number, c in enumerate(found.candidates, start=1)]
        write_prompt_file(objects, scan, output, overwrite=overwrite, inputs=[Path(image), *proposer.files])
    if as_json:
        echo(json.dumps({"candidates": [_as_json(c) for c in found.candidates], "not_found": found.missing}))
    else:
        _print_table(found)
    for sentence in found.missing.values():
        note(sentence)
    if output is not None and not found.candidates:
        raise UserInputError(f"Nothing was found, so that {output.name} was not written.")
    if require and found.missing:
        raise UserInputError("Not every structure was found.")


def _as_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "low": list(candidate.low),
        "high": list(candidate.high),
        "score": None if candidate.score is None else round(candidate.score, 4),
        "source": candidate.source,
        "sha256": candidate.sha256,
    }


def _print_table(found: Found) -> None:
    table = Table("name", "score", "box (i, j, k)", "from")
    for c in found.candidates:
        box = " to ".join(",".join(str(v) for v in corner) for corner in (c.low, c.high))
        table.add_row(c.name, "none" if c.score is None else f"{c.score:.2f}", box, c.source)
    out.print(table)
