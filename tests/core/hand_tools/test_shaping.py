"""Shaping masks, against SimpleITK's morphology and by geometry."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam2.core.hand_tools.shaping import fill_holes, grow, keep_largest, keep_part, shrink, smooth

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)))
SPACING = (0.7, 0.7, 3.0)


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float, spacing: tuple[float, ...]) -> np.ndarray:
    grid = np.indices(shape)
    return sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, spacing, strict=True)) <= radius**2


def test_growing_agrees_with_the_distance_map_of_simpleitk() -> None:
    mask = ball((30, 28, 12), (14, 13, 5), 6, SPACING)
    image = sitk.GetImageFromArray(mask.T.astype(np.uint8))
    image.SetSpacing(SPACING)
    away = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)).T
    for mm in (0.5, 0.7, 2.0, 3.0, 4.1):
        # SimpleITK measures from the border voxels of the object, which lie inside it.
        assert np.array_equal(grow(mask, mm, SPACING), mask | (away <= mm + 1e-5))


def test_a_distance_below_the_slice_spacing_grows_in_the_plane_alone() -> None:
    mask = ball((20, 20, 7), (10, 10, 3), 3, SPACING)
    grown = grow(mask, 1.5, SPACING)
    assert np.array_equal(grown.any((0, 1)), mask.any((0, 1)))
    assert grown[:, :, 3].sum() > mask[:, :, 3].sum()


@settings(deadline=None, max_examples=60)
@given(MASKS, st.floats(0, 8))
def test_shrinking_is_growing_of_the_outside(mask: np.ndarray, mm: float) -> None:
    if mask.any():
        assert np.array_equal(shrink(mask, mm, SPACING), ~grow(~mask, mm, SPACING))


@settings(deadline=None, max_examples=60)
@given(MASKS, st.floats(0, 8))
def test_a_mask_lies_between_its_shrunk_and_its_grown_self(mask: np.ndarray, mm: float) -> None:
    assert not (shrink(mask, mm, SPACING) & ~mask).any()
    assert not (mask & ~grow(mask, mm, SPACING)).any()


@settings(deadline=None, max_examples=40)
@given(MASKS, st.sampled_from([0.5, 1.0, 2.0]))
def test_nothing_is_made_of_nothing_and_inputs_stay(mask: np.ndarray, mm: float) -> None:
    before = mask.copy()
    empty = np.zeros_like(mask)
    for work in (lambda m: grow(m, mm, SPACING), lambda m: shrink(m, mm, SPACING), lambda m: smooth(m, mm, SPACING)):
        assert not work(empty).any()
        work(mask)
    assert np.array_equal(mask, before)


def test_smoothing_takes_a_spike_and_keeps_the_volume() -> None:
    mask = ball((40, 40), (20, 20), 12, (1, 1))
    spiked = mask.copy()
    spiked[20, 32:39] = True
    smoothed = smooth(spiked, 2.0, (1, 1))
    assert not smoothed[20, 36:].any()
    assert abs(int(smoothed.sum()) - int(spiked.sum())) <= 0.01 * spiked.sum()
    assert (smoothed & mask).sum() > 0.97 * mask.sum()


def test_smoothing_does_not_lose_a_thin_part() -> None:
    rod = np.zeros((30, 30), dtype=bool)
    rod[5:25, 15] = True
    assert smooth(rod, 1.0, (1, 1)).sum() == pytest.approx(rod.sum(), abs=2)


def test_a_hole_is_filled_and_a_bay_is_not() -> None:
    ring = ball((20, 20), (10, 10), 7, (1, 1)) & ~ball((20, 20), (10, 10), 3, (1, 1))
    assert fill_holes(ring)[10, 10]
    open_ring = ring.copy()
    open_ring[10, 10:] = False
    assert np.array_equal(fill_holes(open_ring), open_ring)


def test_one_part_is_kept_the_largest_or_the_one_at_a_place() -> None:
    mask = np.zeros((12, 12), dtype=bool)
    mask[1:3, 1:3], mask[6:10, 6:10] = True, True
    assert keep_largest(mask).sum() == 16
    assert keep_part(mask, (1, 2)).sum() == 4
    assert keep_part(mask, (4, 4)).sum() == 4, "a place between the parts means the nearer one"


def test_voxels_that_touch_by_a_corner_are_one_part() -> None:
    mask = np.eye(4, dtype=bool)
    assert np.array_equal(keep_largest(mask), mask)
