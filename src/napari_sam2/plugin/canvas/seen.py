"""Which image is seen at a place of the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from napari.layers import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

__all__ = ["covering_image", "lies_at"]

COVERING: Final = ("opaque", "translucent", "translucent_no_depth")
"""Blendings under which an image hides what is below it; overlays are additive, or let something through."""

OPAQUE: Final = 0.9
"""An image that is drawn with less opacity is an overlay."""


def covering_image(viewer: ViewerModel, image: Image, world: Sequence[float]) -> Image | None:
    """The image that hides another one at a world position.

    None when the other one is seen there.
    """
    layers = list(viewer.layers)
    if image not in layers:
        return None
    above = layers[layers.index(image) + 1 :]
    return next((layer for layer in reversed(above) if _covers(layer) and lies_at(layer, world)), None)


def lies_at(image: Image, world: Sequence[float]) -> bool:
    """Whether a world position lies inside an image."""
    position = np.asarray(image.world_to_data(world))[-image.ndim :]
    shape = image.data[0].shape if image.multiscale else image.data.shape
    return bool(((position >= -0.5) & (position <= np.array(shape[: image.ndim]) - 0.5)).all())


def _covers(layer: object) -> bool:
    return isinstance(layer, Image) and layer.visible and layer.opacity > OPAQUE and str(layer.blending) in COVERING
