"""Shapes layers of a person's own, as geometries on a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.plugin.canvas.coordinates import layer_to_layer
from napari_sam2.plugin.slide.reader import polygon_of_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Shapes

__all__ = ["geometries_of"]


def geometries_of(layer: Shapes, image: Image) -> list[Any]:
    """The selected shapes of a layer, or all.

    In the level-0 pixel corners of a slide's image.
    """
    chosen: Sequence[int] = sorted(layer.selected_data) or range(len(layer.data))
    return [polygon_of_shape(layer_to_layer(layer.data[n], layer, image)) for n in chosen]
