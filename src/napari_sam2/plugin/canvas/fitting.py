"""An image that is seen whole stays so in another size.

The size is that of the canvas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["fit", "is_seen_whole"]

MARGIN: Final = 0.05
"""Part of the canvas that stays free around an image, as napari leaves it."""

LEAST_EXTENT: Final = 1e-9
"""World units; an image of one point has no extent to divide by."""

ROUNDING: Final = 2.0
"""Canvas pixels by which an image may reach over the border and count as seen whole."""


def is_seen_whole(viewer: ViewerModel, image: Image) -> bool:
    """Whether nothing of an image lies outside of the canvas."""
    if viewer.dims.ndisplay != 2:
        return False
    camera, shown = viewer.scene.camera, [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    corners = np.asarray(image.extent.world)[:, shown]
    reach = np.abs(corners - np.array(camera.center[-2:])).max(axis=0) * camera.zoom
    return bool((reach <= np.array(viewer.canvas.size) / 2 + ROUNDING).all())


def fit(viewer: ViewerModel, image: Image) -> None:
    """Show an image as large as the canvas allows; nothing in 3-D."""
    if viewer.dims.ndisplay != 2:
        return
    # Not by napari's own `fit_to_view(layers=...)`: 0.9 makes a list of the layers that keeps the viewer in memory.
    camera, shown = viewer.scene.camera, [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    low, high = np.asarray(image.extent.world)[:, shown]
    room = np.array(viewer.canvas.size) * (1 - MARGIN)
    camera.center = (*camera.center[:-2], *((low + high) / 2).tolist())
    camera.zoom = float((room / np.maximum(high - low, LEAST_EXTENT)).min())
