"""A slice as a detector sees it: a picture of square pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from napari_sam2.finding.detectors.detector import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Picture", "picture_of"]

LARGEST_SIDE: Final = 1333
"""Pixels; detectors look at no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A slice, drawn to square pixels.

    Attributes
    ----------
    pixels : (rows, columns, 3) uint8 array
        What is looked at.
    scale : (float, float)
        Rows and columns of the picture for one of the slice.
    """

    pixels: NDArray[np.uint8]
    scale: tuple[float, float]

    def on_slice(self, boxes: Boxes) -> Boxes:
        """Boxes on the picture as boxes on the slice."""
        return Boxes(boxes.edges / np.tile(self.scale, 2), boxes.scores)


def picture_of(slice_: NDArray[np.float32], spacing: tuple[float, float]) -> Picture:
    """The picture of a slice.

    Parameters
    ----------
    slice_ : (rows, columns[, 3]) float array
        In [0, 1]; grey is repeated as red, green and blue.
    spacing : (float, float)
        Of rows and columns; only their ratio counts.
    """
    colours = np.repeat(slice_[..., None], 3, axis=-1) if slice_.ndim == 2 else slice_
    pixels = np.round(colours * 255).astype(np.uint8)
    rows, cols = pixels.shape[:2]
    finest = min(spacing)
    size = np.array([rows * spacing[0] / finest, cols * spacing[1] / finest])
    size = np.maximum(np.round(size * min(1.0, LARGEST_SIDE / size.max())), 1).astype(int)
    if (size != (rows, cols)).any():
        pixels = np.asarray(Image.fromarray(pixels).resize((int(size[1]), int(size[0])), Image.Resampling.BILINEAR))
    return Picture(pixels, (float(size[0] / rows), float(size[1] / cols)))
