"""``napari-sam2 open``: napari with the panel docked."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Channels, Image, Register, Series, VolumeIndex, series_choice
from napari_sam2.errors import EnvironmentLacksError, UserInputError

if TYPE_CHECKING:
    from napari_sam2.plugin.scan.channel_layers import ChannelToOpen

__all__ = ["open_review", "open_window"]

LayerTuple = tuple[Any, dict[str, Any], str]


@app.command("open")
def open_window(
    image: Image,
    labels: Annotated[
        Path | None, typer.Argument(help="Labels on the same grid, which are opened as objects to be corrected.")
    ] = None,
    volume: VolumeIndex = None,
    series: Series = None,
    channel: Channels = None,
    register: Register = "",
) -> None:
    """Open a scan, a slide, a picture or a film in napari.

    With the SAM 2 panel. Further sequences of the same patient open as channels, which the model sees as well:

    napari-sam2 open flair.nii.gz --channel t1c.nii.gz --channel t2.nii.gz
    """
    whole = labels is None and volume is None and series is None and not channel
    layers = _frames(image) if whole and image.is_file() else None
    channels: list[ChannelToOpen] = []
    if layers is None and labels is None and volume is None and not channel and _is_slide(image):
        layers = _slide(image)
    elif layers is None:
        layers, channels = _scan(image, labels, volume, series, channel or [], register)
    if register and not channels:
        raise UserInputError("--register is for further channels of a scan; give them with --channel.")
    _require_qt()
    import napari
    from napari.layers import Layer

    from napari_sam2.plugin.control.registry import controller_for

    viewer = napari.Viewer()
    for layer in layers:
        viewer.add_layer(Layer.create(*layer))
    viewer.layers.selection.active = viewer.layers[0]
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    controller = controller_for(viewer)
    if labels is not None:
        controller.open_labels(labels)
    if channels:
        controller.open_channels(channels, register=bool(register))
    napari.run()


def open_review(output: Path, by: str) -> None:
    """Open napari on the doubtful slices of a cohort.

    Waits until it is closed.

    Raises
    ------
    UserInputError
        If the folder holds no cohort, or its images are not found.
    EnvironmentLacksError
        If no Qt is installed.
    """
    _require_qt()
    import napari

    from napari_sam2.plugin.cohort.review import CohortReview
    from napari_sam2.plugin.control.registry import controller_for
    from napari_sam2.plugin.widgets.cohort_box import CohortBox

    viewer = napari.Viewer()
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    review = CohortReview(controller_for(viewer), output, by)
    viewer.window.add_dock_widget(CohortBox(review), name="Review of the cohort", area="right")
    review.next()
    napari.run()
    review.close()


def _require_qt() -> None:
    if not any(importlib.util.find_spec(name) for name in ("PyQt6", "PySide6")):
        raise EnvironmentLacksError("There is no Qt here, which windows need; install 'napari-sam2[all]'.")


def _frames(path: Path) -> list[LayerTuple] | None:
    from napari_sam2.plugin.slide.film_reader import film_layers

    return film_layers(path)


def _is_slide(path: Path) -> bool:
    from napari_sam2.plugin.slide.content import is_slide_file

    return is_slide_file(path)


def _slide(path: Path) -> list[LayerTuple]:
    from napari_sam2.plugin.slide.reader import read_slide_layers

    return read_slide_layers(path)


def _scan(
    image: Path, labels: Path | None, volume: int | None, series: str | None, channel: list[str], register: str
) -> tuple[list[LayerTuple], list[ChannelToOpen]]:
    """The scan's layer, and its further channels; what does not fit is refused here, before a window opens."""
    from napari_sam2.channels.opening import (
        channel_files,
        free_name,
        name_of,
        volumes_of,
    )
    from napari_sam2.channels.refusing import check_channel, check_registration
    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.io.zarr_store import is_zarr

    # The one place where a front end uses another: this command is a way into the plugin.
    from napari_sam2.plugin.reader import image_layer, read
    from napari_sam2.plugin.scan.channel_layers import ChannelToOpen

    check_registration(register)
    if labels is None and volume is None and not channel and is_zarr(image):
        return read(str(image)), []
    scan = read_volume(image, volume_index=volume, series=series_choice(series))
    if labels is not None:
        read_labels(labels, scan)
    names = [name_of(scan, 0)]
    channels = []
    for file in channel_files(channel):
        for given, other, index in volumes_of(file, scan, volume):
            names.append(free_name(given, other, names))
            check_channel(scan, other, names[-1], register=bool(register))
            channels.append(ChannelToOpen(names[-1], other, index))
    return [image_layer(scan)], channels
