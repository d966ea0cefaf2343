"""``napari-sam2 open``: napari with the panel docked."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_sam2.cli.app import app
from napari_sam2.cli.options import Image, Series, VolumeIndex, series_choice
from napari_sam2.errors import EnvironmentLacksError

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
) -> None:
    """Open a scan, a slide, a picture or a film in napari.

    With the SAM 2 panel.
    """
    layers = _frames(image) if labels is None and volume is None and series is None and image.is_file() else None
    if layers is None:
        flat = labels is None and volume is None and _is_slide(image)
        layers = _slide(image) if flat else _scan(image, labels, volume, series)
    _require_qt()
    import napari
    from napari.layers import Layer

    viewer = napari.Viewer()
    for layer in layers:
        viewer.add_layer(Layer.create(*layer))
    viewer.layers.selection.active = viewer.layers[0]
    viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    if labels is not None:
        from napari_sam2.plugin.control.registry import controller_for

        controller_for(viewer).open_labels(labels)
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


def _scan(image: Path, labels: Path | None, volume: int | None, series: str | None) -> list[LayerTuple]:
    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.io.zarr_store import is_zarr

    # The one place where a front end uses another: this command is a way into the plugin.
    from napari_sam2.plugin.reader import image_layer, read

    if labels is None and volume is None and is_zarr(image):
        return read(str(image))
    scan = read_volume(image, volume_index=volume, series=series_choice(series))
    if labels is not None:
        # What does not fit is refused here, before a window opens.
        read_labels(labels, scan)
    return [image_layer(scan)]
