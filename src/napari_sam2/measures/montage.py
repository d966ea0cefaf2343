"""A picture of slices with contours.

It shows at a glance what was segmented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.terms.structures import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from napari_sam2.core.volume import SlicePlane, Volume
    from napari_sam2.core.window import Window

__all__ = ["montage"]

TILE: Final = 260
"""Side in pixels that a slice is enlarged to."""


def montage(
    volume: Volume,
    window: Window,
    labels: NDArray[np.integer],
    *,
    axis: int,
    slices: Sequence[int],
    reference: NDArray[np.integer] | None = None,
    columns: int = 4,
) -> Image:
    """Draw slices side by side, with a coloured contour around every object.

    Parameters
    ----------
    volume : Volume
        The scan.
    window : Window
        How it is shown.
    labels : (I, J, K) array of int
        The result.
    axis : int
        Slice axis.
    slices : sequence of int
        Slice indices, drawn in this order.
    reference : (I, J, K) array of int, optional
        Known labels, drawn as a thin white contour.
    columns : int
        Tiles in a row.
    """
    from PIL import Image, ImageDraw

    plane = volume.plane(axis)
    height, width = _tile_shape(plane)
    rows = -(-len(slices) // columns)
    sheet = Image.new("RGB", (min(columns, len(slices)) * width, rows * height))
    draw = ImageDraw.Draw(sheet)
    for number, index in enumerate(slices):
        left, top = (number % columns) * width, (number // columns) * height
        tile = _tile(volume, window, plane, index, (height, width))
        if reference is not None:
            _outline(tile, plane.take(reference, index), thickness=1, colour=(255, 255, 255))
        _outline(tile, plane.take(labels, index), thickness=2)
        sheet.paste(Image.fromarray(tile), (left, top))
        draw.text((left + 6, top + 4), f"{volume.plane_name(axis)} {index}", fill=(230, 230, 230))
    return sheet


def _tile_shape(plane: SlicePlane) -> tuple[int, int]:
    extent = np.array(plane.shape) * np.array(plane.spacing)
    height, width = np.maximum(np.rint(extent * TILE / extent.max()), 1).astype(int)
    return int(height), int(width)


def _tile(volume: Volume, window: Window, plane: SlicePlane, index: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    grey = (window.apply(plane.take(volume.voxels, index)) * 255).astype(np.uint8)
    picture = Image.fromarray(grey).convert("RGB").resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.array(picture)


def _outline(
    tile: NDArray[np.uint8], labels: NDArray[Any], *, thickness: int, colour: tuple[int, int, int] | None = None
) -> None:
    """Draw the inner boundary of every label into an enlarged tile."""
    from scipy.ndimage import binary_erosion

    rows = np.arange(tile.shape[0]) * labels.shape[0] // tile.shape[0]
    cols = np.arange(tile.shape[1]) * labels.shape[1] // tile.shape[1]
    enlarged = labels[np.ix_(rows, cols)]
    for object_id in np.unique(enlarged[enlarged > 0]):
        mask = enlarged == object_id
        tile[mask & ~binary_erosion(mask, iterations=thickness)] = colour or colour_of(int(object_id))
