"""A large object's outline at twice the resolution.

Window by window along its border.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.slides.answers.crop import Crop
from napari_sam2.slides.answers.crop_engine import CropAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_sam2.slides.answers.crop_engine import CropEngine

__all__ = ["refine"]

BAND: Final = 6
"""Pixels of the finer scale, on both sides of the outline, that may change: what is farther was certain."""

OVERLAP: Final = 4
"""Windows overlap by this part of their side, so that every border pixel is seen with its surroundings."""


def refine(engine: CropEngine, answer: CropAnswer, should_stop: Callable[[], bool] = lambda: False) -> CropAnswer:
    """Look at an object's border at half the scale.

    Parameters
    ----------
    engine : CropEngine
        Who answered.
    answer : CropAnswer
        What it answered.
    should_stop : callable
        Asked between windows; True leaves the answer as it was.

    Returns
    -------
    CropAnswer
        On a crop of half the scale; the same answer when that is level 0 already, or the mask is empty.
    """
    if answer.crop.scale == 1 or answer.bounds is None:
        return answer
    whole = _finer(answer)
    before = whole.carry(answer.mask, answer.crop)
    after = before.copy()
    inside = ndimage.distance_transform_edt(before)
    outside = ndimage.distance_transform_edt(~before)
    band = np.where(before, inside, outside) <= BAND
    side = engine.pixels
    for top, left, kept in _windows(whole, side):
        window = Crop(
            whole.row + top * whole.scale,
            whole.col + left * whole.scale,
            min(side, whole.rows - top),
            min(side, whole.cols - left),
            whole.scale,
        )
        place = np.s_[top : top + window.rows, left : left + window.cols]
        if not (band[place][kept]).any():
            continue
        if should_stop():
            return answer
        hints = SlicePrompts(*_hints(inside[place], outside[place]))
        if not hints.positive.any():
            continue
        anchor = engine.engine_on(window).predict(0, hints, previous=SliceMask.of(before[place]))
        refined = anchor.mask.full((window.rows, window.cols))
        changed = np.zeros_like(band)
        changed[place][kept] = band[place][kept]
        after[changed] = refined[changed[place]]
    return CropAnswer(whole, after, answer.scores, answer.is_cut)


def _finer(answer: CropAnswer) -> Crop:
    """A crop of half the scale around the object, with a margin, inside the old crop."""
    crop, scale = answer.crop, answer.crop.scale // 2
    mask = SliceMask.of(answer.mask)
    height, width = mask.shape
    margin = BAND
    top, left = max(mask.row - margin, 0), max(mask.col - margin, 0)
    bottom = min(mask.row + height + margin, crop.rows)
    right = min(mask.col + width + margin, crop.cols)
    return Crop(
        crop.row + top * crop.scale, crop.col + left * crop.scale, 2 * (bottom - top), 2 * (right - left), scale
    )


def _windows(whole: Crop, side: int) -> list[tuple[int, int, tuple[slice, slice]]]:
    """(top, left) of windows that cover a crop, and the middle of each that is taken from it."""
    windows = []
    for top, rows in _spans(whole.rows, side):
        for left, cols in _spans(whole.cols, side):
            windows.append((top, left, (rows, cols)))
    return windows


def _spans(length: int, side: int) -> list[tuple[int, slice]]:
    step = side - side // OVERLAP
    starts = list(range(0, max(length - side, 0) + step, step)) if length > side else [0]
    starts = sorted({min(start, max(length - side, 0)) for start in starts})
    edges = [0, *((a + b + side) // 2 for a, b in pairwise(starts)), length]
    return [(start, slice(edges[i] - start, edges[i + 1] - start)) for i, start in enumerate(starts)]


def _hints(
    inside: NDArray[np.floating], outside: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The most certain pixel inside, and the one outside, as clicks."""
    points, positive = [], []
    for distance, includes in ((inside, True), (outside, False)):
        if distance.max() > 0:
            points.append(np.unravel_index(int(distance.argmax()), distance.shape))
            positive.append(includes)
    return np.array(points, dtype=np.float64).reshape(-1, 2), np.array(positive, dtype=bool)
