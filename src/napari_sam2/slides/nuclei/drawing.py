"""Numbered regions of a picture.

And those above a threshold that falls. What is too large at one threshold is too large at all lower ones: its pixels
are not looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Drawing", "GrowingRegions", "is_between"]


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Numbered regions of one picture, as a list of their pixels.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the picture.
    pixels : (P,) int64 array
        Places in the flattened picture, ascending.
    numbers : (P,) int64 array
        Whose pixels they are, 1 to `count`.
    count : int
        Regions.
    """

    shape: tuple[int, int]
    pixels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, picture: NDArray[np.int32], count: int) -> Drawing:
        """Of a picture that holds numbers up to `count`."""
        pixels = np.flatnonzero(picture > 0)
        return cls((picture.shape[0], picture.shape[1]), pixels, picture.ravel()[pixels].astype(np.int64), count)

    @property
    def picture(self) -> NDArray[np.int32]:
        """(rows, columns) int32 array of numbers; 0 outside."""
        picture = np.zeros(self.shape, dtype=np.int32)
        picture.ravel()[self.pixels] = self.numbers
        return picture

    def areas(self) -> NDArray[np.int64]:
        """Pixels of each number, 0 to `count`."""
        return np.bincount(self.numbers, minlength=self.count + 1)

    def only(self, kept: NDArray[np.bool_]) -> Drawing:
        """Those that are kept, numbered anew in their order.

        Parameters
        ----------
        kept : (count + 1,) bool array
            By number; False for number 0.
        """
        anew = np.where(kept, np.cumsum(kept), 0)
        numbers = anew[self.numbers]
        inside = numbers > 0
        return Drawing(self.shape, self.pixels[inside], numbers[inside], int(anew.max()))


def is_between(areas: NDArray[np.int64], smallest: float, largest: float) -> NDArray[np.bool_]:
    """Which numbers have an area in a range.

    For `Drawing.only`; never number 0.
    """
    kept = (areas >= smallest) & (areas <= largest)
    kept[0] = False
    return np.asarray(kept)


class GrowingRegions:
    """Regions above a threshold that falls from call to call.

    Parameters
    ----------
    signal : (rows, columns) float array
        What is cut.
    smallest, largest : float
        Areas in pixels between which regions are kept.
    """

    def __init__(self, signal: NDArray[np.float32], smallest: float, largest: float) -> None:
        self._signal = signal
        self._areas = smallest, largest
        self._is_too_large = np.zeros(signal.shape, dtype=bool)

    def above(self, threshold: float) -> Drawing:
        """Regions of a possible size, 4-connected, without their holes.

        The threshold must be no higher than that of the last call.
        """
        above = (self._signal > threshold) & ~self._is_too_large
        labels, count = ndimage.label(above)
        regions = Drawing.of(labels, count)
        areas = regions.areas()
        is_too_large = areas > self._areas[1]
        is_too_large[labels[above & _beside(self._is_too_large)]] = True
        self._is_too_large.ravel()[regions.pixels[is_too_large[regions.numbers]]] = True
        return self._filled(regions.only(is_between(areas, *self._areas) & ~is_too_large))

    def _filled(self, regions: Drawing) -> Drawing:
        """The same without holes; regions that close a hole together are one."""
        if regions.count == 0:
            return regions
        outside = np.ones(regions.shape, dtype=bool)
        outside.ravel()[regions.pixels] = False
        labels, count = ndimage.label(outside)
        is_hole = np.ones(count + 1, dtype=bool)
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            is_hole[side] = False
        is_hole[0] = False
        if not is_hole.any():
            return regions
        whole, count = ndimage.label(is_hole[labels] | ~outside)
        filled = Drawing.of(whole, count)
        return filled.only(is_between(filled.areas(), *self._areas))


def _beside(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels above, below, left and right of those inside."""
    beside = np.zeros_like(inside)
    beside[1:] |= inside[:-1]
    beside[:-1] |= inside[1:]
    beside[:, 1:] |= inside[:, :-1]
    beside[:, :-1] |= inside[:, 1:]
    return beside
