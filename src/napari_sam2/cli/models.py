"""``napari-sam2 models``: what can be used, what is here, and how to get the rest."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from napari_sam2.cli.app import app
from napari_sam2.cli.progress import errors

__all__ = ["fetch", "list_models", "verify"]

models = typer.Typer(
    help="List, fetch and verify models. Nothing is downloaded unless 'fetch' is called.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(models, name="models")


@models.command("list")
def list_models() -> None:
    """List the models that can be named, and whether they are on this machine."""
    from napari_sam2.models import DEFAULT_MODEL
    from napari_sam2.models.classical import ClassicalModel
    from napari_sam2.models.zoo import FILES, ZOO, folder_of, models_folder

    table = Table(Column("name", no_wrap=True), "here", "MB", "licence", "what it is")
    built_in = ClassicalModel().card
    table.add_row(built_in.name, "built in", "0", built_in.license, built_in.summary)
    for entry in ZOO.values():
        here = all((folder_of(entry.name) / file).is_file() for file in FILES)
        table.add_row(entry.name, "yes" if here else "no", str(entry.megabytes), entry.license, entry.summary)
    out = Console(highlight=False)
    out.print(table)
    out.print(f"default: {DEFAULT_MODEL}; folder: {models_folder()}", markup=False, soft_wrap=True)


@models.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name of 'models list'.")],
    revision: Annotated[str, typer.Option("--revision", help="Branch, tag or commit on the hub.")] = "main",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Download a model from the Hugging Face hub, after showing its size and licence."""
    from napari_sam2.errors import UserInputError
    from napari_sam2.models.zoo import ZOO
    from napari_sam2.models.zoo import fetch as fetch_model

    entry = ZOO.get(name)
    if entry is None:
        raise UserInputError(f"There is no model {name!r} to fetch; choose one of {', '.join(ZOO)}.")
    if not yes:
        typer.confirm(f"{name}: {entry.megabytes} MB, {entry.license}. Download?", abort=True, err=True)
    folder = fetch_model(name, revision=revision, report=lambda line: errors.print(line, markup=False))
    typer.echo(f"{name} is in {folder}")


@models.command()
def verify(name: Annotated[str, typer.Argument(help="A name of 'models list'.")]) -> None:
    """Compare a fetched model with the hashes that were pinned when it came."""
    from napari_sam2.models.zoo import verify as verify_model

    for file, digest in verify_model(name).items():
        typer.echo(f"{file}  {digest}")
