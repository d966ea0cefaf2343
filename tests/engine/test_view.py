from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.engine.view import OUTSIDE_LOGIT, View, whole_view, zoom_view

extents = st.floats(5, 60)
edges = st.floats(-20, 40)


def plane(rows=40, cols=60, spacing=(1.0, 1.0)):
    return Volume(np.zeros((rows, cols, 3)), np.diag([*spacing, 1.0, 1.0]), oriented=False).plane(2)


@pytest.mark.parametrize("size", [32, 128, 77])
def test_a_whole_square_slice_is_resized_as_torch_resizes(size):
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    found = whole_view(plane(64, 64), size).image(image)[0]
    tensor = torch.from_numpy(image)[None, None]
    expected = interpolate(tensor, (size, size), mode="bilinear", align_corners=False, antialias=size < 64)[0, 0]
    assert torch.allclose(found, expected, atol=1e-5)


def test_logits_come_back_as_torch_resizes():
    logits = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    found = whole_view(plane(64, 64), 128).to_slice(logits, (64, 64))
    expected = interpolate(logits[None, None], (64, 64), mode="bilinear", align_corners=False)[0, 0]
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_slice_keeps_its_proportions_and_the_rest_is_black():
    view = whole_view(plane(20, 20, spacing=(2.0, 0.5)), 40)
    image = view.image(np.ones((20, 20), dtype=np.float32))[0]
    assert (image.sum(0) > 0).sum() == 10
    assert (image.sum(1) > 0).sum() == 40
    assert set(torch.unique(image).tolist()) == {0.0, 1.0}


@given(edges, edges, extents, st.integers(16, 64))
def test_a_gradient_stays_a_gradient_in_any_view(row, col, extent, size):
    """Bilinear resampling is exact for linear images, wherever it has neighbours on both sides."""
    view = View(row, col, extent, extent, size)
    image = np.add.outer(0.01 * np.arange(50), 0.003 * np.arange(50)).astype(np.float32)
    found = view.image(image)[0].numpy()
    step = extent / size
    rows, cols = row + (np.arange(size) + 0.5) * step, col + (np.arange(size) + 0.5) * step
    reach = max(1.0, step)
    inner = ((rows > reach) & (rows < 49 - reach))[:, None] & ((cols > reach) & (cols < 49 - reach))[None, :]
    assert np.allclose(found[inner], np.add.outer(0.01 * rows, 0.003 * cols)[inner], atol=2e-3 if step > 1 else 1e-4)
    outside = ((rows < -0.5) | (rows > 49.5))[:, None] | ((cols < -0.5) | (cols > 49.5))[None, :]
    assert not found[outside].any()


@given(edges, edges, extents, st.integers(16, 64))
def test_points_lie_where_the_image_shows_them(row, col, extent, size):
    view = View(row, col, extent, extent, size)
    point = np.array([row + 0.3 * extent, col + 0.6 * extent])
    x, y = view.to_view(point)
    assert ((y + 0.5) / size, (x + 0.5) / size) == (pytest.approx(0.3), pytest.approx(0.6))


@given(edges, edges, extents, edges, edges, extents)
def test_a_shift_leads_to_the_same_place_in_the_other_view(row, col, extent, other_row, other_col, other_extent):
    here, there = View(row, col, extent, extent, 32), View(other_row, other_col, other_extent, other_extent, 32)
    point = np.array([7.0, 9.0])
    shift = here.shift_to(there)
    x, y = here.to_view(point)
    assert np.allclose(there.to_view(point), (shift.scale * x + shift.dx, shift.scale * y + shift.dy), atol=1e-6)


def test_a_mask_returns_from_a_zoomed_view_to_its_own_voxels():
    mask = np.zeros((40, 60), dtype=bool)
    mask[12:22, 30:43] = True
    view = zoom_view(plane(), (11.5, 29.5, 21.5, 42.5), 2.2, 16, 128)
    logits = view.image(mask)[0] * 20 - 10
    back = view.to_slice(logits, (40, 60))
    assert np.array_equal(back.numpy() > 0, mask)
    assert back[0, 0] == OUTSIDE_LOGIT


def test_a_zoom_is_square_in_millimetres_and_no_larger_than_needed():
    view = zoom_view(plane(40, 60, spacing=(3.0, 1.0)), (9.5, 19.5, 13.5, 25.5), 2.0, 16, 64)
    assert view.rows * 3 == pytest.approx(view.cols)
    assert view.cols == pytest.approx(24)
    tiny = zoom_view(plane(), (9.5, 19.5, 10.5, 20.5), 2.0, 16, 64)
    assert tiny.rows == tiny.cols == 16
    huge = zoom_view(plane(), (-0.5, -0.5, 39.5, 59.5), 2.2, 16, 64)
    assert huge.cols == 60


def test_prompts_arrive_in_view_coordinates():
    view = View(-0.5, -0.5, 40, 40, 80)
    given_prompts = SlicePrompts(
        points=np.array([[10.0, 20.0]]),
        positive=np.array([True]),
        box=np.array([4.5, 9.5, 14.5, 29.5]),
    )
    found = view.prompts(given_prompts, torch.device("cpu"))
    assert found.points.tolist() == [[40.5, 20.5]]
    assert found.box.tolist() == [19.5, 9.5, 59.5, 29.5]
