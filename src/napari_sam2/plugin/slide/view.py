"""What of a slide is on the screen.

In level-0 pixels; and how to bring an object there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["ScreenView", "show_object", "view_of"]

OBJECT_SHARE: Final = 0.35
"""Part of the canvas that an object takes when it is looked up."""


SMALLEST_SHARE, LARGEST_SHARE = 0.02, 0.8
"""Parts of the canvas between which an object is looked up without a change of zoom."""


@dataclass(frozen=True, slots=True)
class ScreenView:
    """A rectangle of the slide on the canvas.

    Attributes
    ----------
    row0, col0, row1, col1 : float
        Its edges in level-0 pixels.
    pixel : float
        Level-0 pixels along one pixel of the screen.
    """

    row0: float
    col0: float
    row1: float
    col1: float
    pixel: float

    @property
    def field(self) -> float:
        """Level-0 pixels along the shorter side.

        What a person clicks on lies well inside it.
        """
        return min(self.row1 - self.row0, self.col1 - self.col0)


def view_of(viewer: ViewerModel, image: Image, shape: tuple[int, int]) -> ScreenView:
    """What the canvas shows of an image.

    Of `shape`, cut at its borders.
    """
    zoom = viewer.scene.camera.zoom
    half = np.array(viewer.canvas.size) / zoom / 2
    centre = np.array(viewer.scene.camera.center[-2:])
    corners = np.array([_data(image, centre - half), _data(image, centre + half)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    pixel = float((high - low).max() / max(viewer.canvas.size))
    low, high = np.maximum(low, -0.5), np.minimum(high, np.array(shape) - 0.5)
    # Looking past the image altogether still leaves a field.
    high = np.maximum(high, low + pixel)
    return ScreenView(float(low[0]), float(low[1]), float(high[0]), float(high[1]), pixel)


def show_object(viewer: ViewerModel, image: Image, geometry: Any) -> None:
    """Move the camera to an outline (level-0 pixel corners).

    The zoom stays unless the outline would be a dot or not fit; then it is seen with its surroundings.
    """
    col0, row0, col1, row1 = geometry.bounds
    planes = (0.0,) * (image.ndim - 2)
    first = np.array(image.data_to_world((*planes, row0 - 0.5, col0 - 0.5))[-2:])
    last = np.array(image.data_to_world((*planes, row1 - 0.5, col1 - 0.5))[-2:])
    size = np.maximum(np.abs(last - first), 1e-6)
    viewer.scene.camera.center = tuple((first + last) / 2)
    share = float((size * viewer.scene.camera.zoom / np.array(viewer.canvas.size)).max())
    if not SMALLEST_SHARE <= share <= LARGEST_SHARE:
        viewer.scene.camera.zoom *= OBJECT_SHARE / share


def _data(image: Image, world: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(c) for c in image.world_to_data(world)[-2:])
