"""``napari-sam2 models``: what can be used, and what is here.

And how to get the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.printing import echo, errors, out
from napari_sam2.models.registry import convertible

__all__ = ["fetch", "import_model", "list_models", "verify"]

models = typer.Typer(
    help="List, fetch, import and verify models. Nothing is downloaded unless 'fetch' is called.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(models, name="models")


@models.command("list")
def list_models() -> None:
    """List the models that can be named.

    And whether they are on this machine.
    """
    from napari_sam2.models import DEFAULT_MODEL, load_model
    from napari_sam2.models.registry import BUILT_IN
    from napari_sam2.models.zoo import ZOO, is_here, models_folder

    for card in (load_model(name).card for name in BUILT_IN):
        out.print(f"{card.name:<33}built in            {card.license}\n    {card.summary}")
    for entry in ZOO.values():
        here = "here" if is_here(entry.name) else "not here"
        head = f"{entry.name:<33}{here:<10}{entry.megabytes:>5} MB  {entry.input_size} px  {entry.license}"
        out.print(f"{head}\n    {entry.summary}")
    out.print(f"default: {DEFAULT_MODEL}; folder: {models_folder()}")


@models.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of 'models list'.")],
    revision: Annotated[str, typer.Option("--revision", help="Branch, tag or commit on the hub.")] = "main",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Download a model from the Hugging Face hub.

    Its size and licence are shown first.
    """
    from napari_sam2.errors import UserInputError
    from napari_sam2.models.zoo import ZOO, describe
    from napari_sam2.models.zoo import fetch as fetch_model

    if name not in ZOO:
        raise UserInputError(f"There is no model {name!r} to fetch; choose one of {', '.join(ZOO)}.")
    errors.print(describe(name))
    if not yes:
        typer.confirm("Download?", abort=True, err=True)
    folder = fetch_model(name, revision=revision, report=errors.print)
    echo(f"{name} is in {folder}")


@models.command("import")
def import_model(
    checkpoint: Annotated[
        Path, typer.Argument(help=f"A folder with a model, or an official file: {', '.join(convertible())}.")
    ],
    name: Annotated[str, typer.Option("--name", help="What to call it; the file's name by default.")] = "",
    input_size: Annotated[
        int | None, typer.Option("--input-size", help="Pixels it was trained for: 512 for MedSAM2, else 1024.")
    ] = None,
) -> None:
    """Take in a tuned folder, or convert an official checkpoint.

    It is then in the list of models under its name; nothing in it is run.
    """
    from napari_sam2.models.zoo import import_checkpoint

    folder = import_checkpoint(checkpoint, name, input_size=input_size)
    echo(f"{folder.name} can now be given to --model; it is in {folder}")


@models.command()
def verify(name: Annotated[str, typer.Argument(help="A name of 'models list'.")]) -> None:
    """Compare a fetched model with its pinned hashes.

    Hashes were pinned when it came.
    """
    from napari_sam2.models.zoo import verify as verify_model

    for file, digest in verify_model(name).items():
        echo(f"{file}  {digest}")
