"""``napari-sam2 open``: napari with the panel docked."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Image
from napari_sam2.errors import EnvironmentLacksError

__all__ = ["open_window"]


@app.command("open")
def open_window(
    image: Image,
    labels: Annotated[Path | None, typer.Argument(help="A label map on the same grid.")] = None,
) -> None:
    """Open a scan in napari with the SAM 2 panel."""
    from napari_sam2.io import read_labels, read_volume

    volume = read_volume(image)
    if labels is not None:
        # Said here, in one sentence, rather than by a dialog of napari's.
        read_labels(labels, volume)
    if not any(importlib.util.find_spec(name) for name in ("PyQt6", "PySide6")):
        raise EnvironmentLacksError("There is no Qt here, which windows need; install 'napari-sam2[all]'.")
    import napari

    viewer = napari.Viewer()
    viewer.open(str(image), plugin="napari-sam2")
    if labels is not None:
        viewer.open(str(labels), plugin="napari-sam2", layer_type="labels")
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    napari.run()
