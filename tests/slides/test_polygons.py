from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_sam2.slides.polygons import mask_to_polygon, polygon_to_mask
from tests.slides.conftest import disc


def random_mask(seed, shape=(60, 70), sigma=2.0):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma) > 0.05


def test_exact_outlines_have_the_area_of_the_pixels_and_are_valid():
    for seed in range(5):
        mask = random_mask(seed)
        outline = mask_to_polygon(mask, tolerance=0)
        assert outline.is_valid
        assert outline.area == mask.sum()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.6, 1.0, 3.0]))
def test_exact_outlines_come_back_pixel_for_pixel(seed, sigma):
    mask = random_mask(seed, (23, 31), sigma)
    outline = mask_to_polygon(mask, row=100, col=50, scale=4, tolerance=0)
    np.testing.assert_array_equal(polygon_to_mask(outline, 100, 50, mask.shape, 4), mask)


def test_outlines_stand_in_level_0_pixel_corners_x_before_y():
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:4, 5:9] = True
    assert mask_to_polygon(mask, row=1000, col=2000, scale=8).bounds == (2040, 1016, 2072, 1032)


def test_holes_and_separate_parts_are_kept():
    mask = disc((120, 200), 60, 60, 50) & ~disc((120, 200), 60, 60, 20)
    mask |= disc((120, 200), 60, 160, 25)
    outline = mask_to_polygon(mask)
    assert outline.geom_type == "MultiPolygon"
    assert sorted(len(part.interiors) for part in outline.geoms) == [0, 1]


def test_simplified_outlines_have_far_fewer_points_and_the_same_shape():
    mask = disc((400, 400), 200, 200, 150) & ~disc((400, 400), 200, 200, 40)
    exact, simple = mask_to_polygon(mask, tolerance=0), mask_to_polygon(mask)
    assert shapely.get_num_coordinates(simple) < 0.5 * shapely.get_num_coordinates(exact)
    assert simple.is_valid
    assert simple.area == pytest.approx(mask.sum(), rel=1e-3)
    back = polygon_to_mask(simple, 0, 0, mask.shape)
    assert 2 * (back & mask).sum() / (back.sum() + mask.sum()) > 0.998


@pytest.mark.parametrize("seed", range(6))
def test_rasterising_agrees_with_shapely_on_any_polygon(seed):
    rng = np.random.default_rng(seed)
    polygon = shapely.union_all(shapely.buffer(shapely.points(rng.uniform(0, 60, (12, 2))), rng.uniform(2, 12, 12)))
    rows, cols = np.mgrid[:50, :55]
    expected = shapely.contains_xy(polygon, (cols + 0.5) * 1.3 + 2, (rows + 0.5) * 1.3 - 3)
    np.testing.assert_array_equal(polygon_to_mask(polygon, -3, 2, (50, 55), 1.3), expected)


def test_an_empty_mask_is_an_empty_polygon_and_back():
    outline = mask_to_polygon(np.zeros((5, 5), dtype=bool))
    assert outline.is_empty
    assert not polygon_to_mask(outline, 0, 0, (5, 5)).any()
