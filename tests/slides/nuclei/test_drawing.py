"""Regions above a falling threshold, against the same asked afresh at every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.slides.nuclei.drawing import Drawing, GrowingRegions

SMALLEST, LARGEST = 8, 300


def of_size(labels):
    areas = np.bincount(labels.ravel())
    kept = (areas >= SMALLEST) & (areas <= LARGEST)
    kept[0] = False
    return kept[labels]


def afresh(signal, threshold):
    """Regions of a possible size, filled, and once more of a possible size."""
    kept = of_size(ndimage.label(signal > threshold)[0])
    return ndimage.label(of_size(ndimage.label(ndimage.binary_fill_holes(kept))[0]))


@pytest.mark.parametrize("seed", range(4))
def test_regions_are_those_that_one_threshold_alone_gives(seed):
    noise = np.random.default_rng(seed).normal(size=(90, 110))
    signal = ndimage.gaussian_filter(noise, 2.0 if seed % 2 else 1.0).astype(np.float32)
    growing = GrowingRegions(signal, SMALLEST, LARGEST)
    seen = []
    for threshold in np.linspace(signal.max(), signal.min(), 30):
        regions = growing.above(threshold)
        picture, count = afresh(signal, threshold)
        assert regions.count == count
        np.testing.assert_array_equal(regions.picture, picture)
        seen.append(count)
    assert max(seen) > 3
    assert seen[-1] == 0


def test_some_of_a_drawing_are_numbered_anew_in_their_order():
    picture = np.array([[1, 1, 0, 3], [0, 2, 2, 3]], dtype=np.int32)
    drawing = Drawing.of(picture, 3)
    assert drawing.areas().tolist() == [0, 2, 2, 2]
    kept = drawing.only(np.array([False, True, False, True]))
    assert kept.count == 2
    assert kept.picture.tolist() == [[1, 1, 0, 2], [0, 0, 0, 2]]
