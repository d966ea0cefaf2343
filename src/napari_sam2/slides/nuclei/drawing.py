"""Numbered regions of a picture, and those above a falling threshold.

What is too large at one threshold is too large at all lower ones: its pixels are not looked at again.
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
        pixels = np.flatnonzero(picture)
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
        anew = np.cumsum(kept) * kept
        numbers = anew[self.numbers]
        inside = numbers > 0
        return Drawing(self.shape, self.pixels[inside], numbers[inside], int(anew.max()))


def is_between(areas: NDArray[np.int64], smallest: float, largest: float) -> NDArray[np.bool_]:
    """Which numbers have an area in a range, for `Drawing.only`; never number 0."""
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
        self._witnesses = np.zeros(0, dtype=np.int64)  # a pixel of each region that is too large

    def above(self, threshold: float) -> Drawing:
        """Regions of a possible size, 4-connected, without their holes.

        The threshold must be no higher than that of the last call.
        """
        above = self._signal > threshold
        labels, count = ndimage.label(above)
        pixels = np.flatnonzero(above & ~self._is_too_large)
        regions = Drawing((above.shape[0], above.shape[1]), pixels, labels.ravel()[pixels].astype(np.int64), count)
        areas = regions.areas()
        known = np.unique(labels.ravel()[self._witnesses])
        areas[known] = np.iinfo(np.int64).max
        self._give_up(regions, areas > self._areas[1], known)
        kept = regions.only(is_between(areas, *self._areas))
        return self._filled(kept)

    def _give_up(self, regions: Drawing, is_too_large: NDArray[np.bool_], known: NDArray[np.int64]) -> None:
        lost = is_too_large[regions.numbers]
        self._is_too_large.ravel()[regions.pixels[lost]] = True
        is_new = is_too_large.copy()
        is_new[known] = False
        witness = np.zeros(len(is_new), dtype=np.int64)
        witness[regions.numbers] = regions.pixels
        self._witnesses = np.concatenate([self._witnesses, witness[is_new]])

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
