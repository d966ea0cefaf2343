"""Where to look: a square piece of a slide at one scale.

A crop holds every prompt of an object, the object fills a good part of it, and it lies on a grid, so that
neighbouring clicks meet the features that are already there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.slides.prompts import SlideBox, SlidePoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.slides.prompts import Bounds, SlidePrompt

__all__ = ["Crop", "crop_around"]

CONTEXT: Final = 2.5
"""Smallest side of a crop over the longer side of the object; the ladder of sides makes it at most twice that."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A piece of a slide at one scale.

    Attributes
    ----------
    row, col : int
        Top left corner in level-0 pixels; multiples of `scale`.
    rows, cols : int
        Size in pixels of the crop.
    scale : int
        Level-0 pixels along one pixel of the crop; a power of two.
    """

    row: int
    col: int
    rows: int
    cols: int
    scale: int

    @property
    def bounds(self) -> Bounds:
        """Outer edges in level-0 pixel corners."""
        return self.row, self.col, self.row + self.rows * self.scale, self.col + self.cols * self.scale

    def contains(self, bounds: Bounds) -> bool:
        """Whether edges in level-0 pixel corners lie inside."""
        row0, col0, row1, col1 = self.bounds
        return row0 <= bounds[0] and col0 <= bounds[1] and row1 >= bounds[2] and col1 >= bounds[3]

    def slice_prompts(self, prompts: Sequence[SlidePrompt]) -> SlicePrompts:
        """Prompts in this crop's own pixels, integers at their centres.

        Of several boxes the last counts.
        """
        points = [p for p in prompts if isinstance(p, SlidePoint)]
        box = next((p for p in reversed(prompts) if isinstance(p, SlideBox)), None)
        centres = np.array([(p.row + 0.5, p.col + 0.5) for p in points]).reshape(-1, 2)
        return SlicePrompts(
            points=self._inside(centres),
            positive=np.array([p.positive for p in points], dtype=bool),
            box=None if box is None else self._inside(np.array(box.bounds).reshape(2, 2)).reshape(4),
        )

    def carry(self, mask: NDArray[np.bool_], origin: Crop) -> NDArray[np.bool_]:
        """A mask (origin.rows, origin.cols) of another crop, in this one.

        (rows, cols), nearest pixel.
        """
        rows = (self.row + (np.arange(self.rows) + 0.5) * self.scale - origin.row) / origin.scale
        cols = (self.col + (np.arange(self.cols) + 0.5) * self.scale - origin.col) / origin.scale
        r, c = np.floor(rows).astype(int), np.floor(cols).astype(int)
        inside = ((r >= 0) & (r < origin.rows))[:, None] & ((c >= 0) & (c < origin.cols))
        carried = mask[np.clip(r, 0, origin.rows - 1)][:, np.clip(c, 0, origin.cols - 1)]
        return np.asarray(carried & inside)

    def is_cut(self, mask: NDArray[np.bool_], shape: tuple[int, int]) -> bool:
        """Whether a mask reaches a border of the crop.

        One that is not the border of the slide of `shape`.
        """
        row0, col0, row1, col1 = self.bounds
        return bool(
            (row0 > 0 and mask[0].any())
            or (col0 > 0 and mask[:, 0].any())
            or (row1 < shape[0] and mask[-1].any())
            or (col1 < shape[1] and mask[:, -1].any())
        )

    def _inside(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((corners - (self.row, self.col)) / self.scale - 0.5)


def crop_around(bounds: Bounds, shape: tuple[int, int], pixels: int, context: float = CONTEXT) -> Crop:
    """The crop for an object.

    Parameters
    ----------
    bounds : tuple of float
        Edges row0, column0, row1, column1 of the object in level-0 pixel corners.
    shape : tuple of int
        (rows, columns) of level 0.
    pixels : int
        Longest side of the crop in its own pixels, a power of two.
    context : float
        Smallest side of the crop over the object's longer side.

    Returns
    -------
    Crop
        With a side that is a power of two of level-0 pixels, on a grid of an eighth of that, moved inside
        the slide where it would reach beyond, and as large as the slide at most.
    """
    row0, col0, row1, col1 = bounds
    wanted_side = max(max(row1 - row0, col1 - col0) * context, pixels / 4)
    side = 1 << math.ceil(math.log2(wanted_side))
    whole = 1 << math.ceil(math.log2(max(shape)))
    side = min(side, whole)
    scale = max(1, side // pixels)
    step = max(side // 8, scale)
    starts, sizes = [], []
    for low, high, length in ((row0, row1, shape[0]), (col0, col1, shape[1])):
        last = max(0, math.ceil((length - side) / scale) * scale)
        start = round(((low + high) / 2 - side / 2) / step) * step
        starts.append(min(max(start, 0), last))
        sizes.append(min(side // scale, math.ceil(length / scale)))
    return Crop(starts[0], starts[1], sizes[0], sizes[1], scale)
