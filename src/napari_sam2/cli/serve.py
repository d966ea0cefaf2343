"""``napari-sam2 serve``: let models on this machine answer for other machines."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Device, Quality, ready_model
from napari_sam2.cli.printing import echo, note
from napari_sam2.errors import UserInputError
from napari_sam2.models import DEFAULT_MODEL

__all__ = ["serve"]

STANDARD_INPUT: Final = "-"

MEMORY_SHARE: Final = 0.5
"""Of this machine's memory, for scans and features."""


@app.command()
def serve(
    token_file: Annotated[
        Path,
        typer.Option(
            "--token-file", help="Who may ask: a file of tokens, made if it does not exist; '-' reads one from stdin."
        ),
    ],
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8765,
    models: Annotated[
        str, typer.Option("--models", help="Names or folders, with commas between; the first is the default.")
    ] = DEFAULT_MODEL,
    device: Device = "auto",
    quality: Quality = "auto",
    memory: Annotated[
        float | None, typer.Option("--memory", help="GB for scans and features; half of this machine's by default.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate (PEM), for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front encrypts, so --host may be any address.")
    ] = False,
) -> None:
    """Let the models of this machine answer for people on other machines.

    Scans are held in memory only, and freed when their reader has gone. Example:

    napari-sam2 serve --token-file ~/.napari-sam2-token --models bundled,facebook/sam2.1-hiera-tiny
    """
    from napari_sam2.server.holdings import Limits
    from napari_sam2.server.run import ModelServer, Place, answer_quickly, keep_off_the_disk

    place = Place(host, port, tls_cert, tls_key, behind_proxy)
    place.check()
    from_input = str(token_file) == STANDARD_INPUT
    tokens = _tokens(token_file, from_input)
    names = [name for name in models.split(",") if name]
    if not names:
        raise UserInputError("--models: name a model, such as bundled.")
    loaded = {name: ready_model(name, device, _quality_for(name, quality)) for name in names}
    _log_counts()
    described = ", ".join(f"{name} on {model.device}" for name, model in loaded.items())
    keep_off_the_disk()
    server = ModelServer(place, loaded, tokens, Limits(_bytes(memory)))
    if from_input:
        server.stop_with_input()
    echo(f"serving {described} at {server.url}")
    sys.stdout.flush()
    answer_quickly()
    server.serve()


def _log_counts() -> None:
    """Show what the server logs (which verb, how long), and what no other library has to say."""
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("napari_sam2")
    logger.addHandler(shown)
    logger.setLevel(logging.INFO)


def _tokens(path: Path, from_input: bool) -> list[str]:
    from napari_sam2.remote.tokens import is_token, read_tokens, write_token

    if from_input:
        token = sys.stdin.readline().strip()
        if not is_token(token):
            raise UserInputError("The standard input holds no token; give one as its first line.")
        return [token]
    if not path.exists():
        write_token(path)
        note(f"made {path.name} with a new token; copy it to the machines that may ask, readable by its owner only.")
    return read_tokens(path)


def _quality_for(name: str, quality: str) -> str:
    """Models that answer at one size only have no other quality."""
    from napari_sam2.models.zoo import BUILT_IN

    return "auto" if name in BUILT_IN else quality


def _bytes(gigabytes: float | None) -> int:
    if gigabytes is None:
        import psutil

        return int(psutil.virtual_memory().total * MEMORY_SHARE)
    if not gigabytes > 0:
        raise UserInputError("--memory must be more than 0 GB.")
    return int(gigabytes * 1e9)
