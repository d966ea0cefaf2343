"""Brush, scribble and lasso."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.core.hand_tools.strokes import brushed, lassoed, scribbled

SPACING = (0.5, 2.0)


def test_a_brush_is_round_in_millimetres() -> None:
    touched = brushed(np.zeros((41, 21)), np.array([[20.0, 10.0]]), 4.0, SPACING)
    rows, cols = np.indices(touched.shape)
    expected = ((rows - 20) * 0.5) ** 2 + ((cols - 10) * 2.0) ** 2 <= 16
    assert np.array_equal(touched, expected)


def test_a_stroke_covers_all_of_its_way() -> None:
    path = np.array([[3.0, 3.0], [3.0, 15.0], [12.0, 15.0]])
    touched = brushed(np.zeros((20, 20)), path, 1.0, (1.0, 1.0))
    assert touched[3, 3:16].all()
    assert touched[3:13, 15].all()
    assert not touched[8, 8]


def test_only_intensities_in_range_are_painted() -> None:
    image = np.tile(np.arange(20.0), (20, 1))
    touched = brushed(image, np.array([[10.0, 10.0]]), 6.0, (1.0, 1.0), (8, 11))
    assert set(np.unique(image[touched])) == {8, 9, 10, 11}


def test_a_brush_beyond_the_slice_touches_nothing() -> None:
    assert not brushed(np.zeros((9, 9)), np.array([[-20.0, 4.0]]), 3.0, (1.0, 1.0)).any()


def test_a_lasso_holds_what_lies_inside() -> None:
    inside = lassoed(np.array([[1.5, 1.5], [1.5, 6.5], [5.5, 6.5], [5.5, 1.5]]), (9, 9))
    expected = np.zeros((9, 9), dtype=bool)
    expected[2:6, 2:7] = True
    assert np.array_equal(inside, expected)


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=2, max_size=6))
def test_points_of_a_scribble_lie_on_it_at_equal_distances(path: list[tuple[float, float]]) -> None:
    corners = np.array(path)
    steps = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    points = scribbled(corners, 4)
    if steps.sum() == 0:
        assert points.shape == (0, 2)
        return
    ends = np.cumsum(steps)
    wanted = ends[-1] * np.arange(1, 5) / 5
    expected = np.stack([np.interp(wanted, np.r_[0, ends], corners[:, a]) for a in (0, 1)], axis=1)
    assert points == pytest.approx(expected)
