"""``napari-sam2 train``: the recipe of the bundled model.

On your own data if you like.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.printing import echo

__all__ = ["train"]


@app.command()
def train(
    config: Annotated[Path, typer.Option("--config", help="A TOML file; see docs/training.md.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for checkpoints, learning curve, weights.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")] = False,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Stop after so long, with a checkpoint to resume from.")
    ] = None,
) -> None:
    """Train a small model; its weights can then be given to --model.

    napari-sam2 train --config small.toml -o runs/mine --seconds 600
    """
    from napari_sam2.training.command import train_command

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    echo(f"wrote {train_command(config, output, resume, seconds)}")
