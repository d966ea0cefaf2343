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
    """Show an image as large as the canvas allows."""
    viewer.fit_to_view(layers=[image])
