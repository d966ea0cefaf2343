"""``napari-sam2 open``: napari with the panel docked."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Image, Series, VolumeIndex, series_choice
from napari_sam2.errors import EnvironmentLacksError

__all__ = ["open_window"]


@app.command("open")
def open_window(
    image: Image,
    labels: Annotated[Path | None, typer.Argument(help="A label map on the same grid.")] = None,
    volume: VolumeIndex = None,
    series: Series = None,
) -> None:
    """Open a scan in napari with the SAM 2 panel."""
    from napari_sam2.io import read_labels, read_volume

    scan = read_volume(image, volume_index=volume, series=series_choice(series))
    known = None if labels is None else read_labels(labels, scan)
    if not any(importlib.util.find_spec(name) for name in ("PyQt6", "PySide6")):
        raise EnvironmentLacksError("There is no Qt here, which windows need; install 'napari-sam2[all]'.")
    import napari
    from napari.layers import Layer

    # The one place where a front end uses another: this command is a way into the plugin.
    from napari_sam2.plugin.reader import image_layer, labels_layer

    viewer = napari.Viewer()
    viewer.add_layer(Layer.create(*image_layer(scan)))
    if known is not None and labels is not None:
        viewer.add_layer(Layer.create(*labels_layer(known, scan, labels.name)))
        viewer.layers.selection.active = viewer.layers[0]
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    napari.run()
