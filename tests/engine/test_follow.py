"""Views that follow an object, and how exact a boundary can be in them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask, iou
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.click_search import click_views
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.view import View, whole_view, zoom_view
from napari_sam2.models.base import ViewPolicy
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.quality import QUALITIES
from tests.tiny_sam2 import tiny_model


def engine_with(policy, shape=(200, 200, 4), model=None):
    model = ClassicalModel() if model is None else model
    model.view_policy = policy
    volume = Volume(np.zeros(shape, np.float32), np.eye(4), oriented=False)
    return Engine(volume, model, Window(0, 1, "x"), axis=2)


def test_a_view_with_slack_stays_while_the_object_fits_it():
    engine = engine_with(ViewPolicy(zoom=True, slack=1.6))
    view = engine.view_around((80, 80, 110, 110), 2.4)
    assert engine.follow(view, (84, 82, 115, 112)) == view


@pytest.mark.parametrize(
    "bounds", [(80, 80, 150, 110), (88, 88, 100, 100), (90, 60, 120, 85)], ids=["grown", "shrunk", "moved"]
)
def test_a_view_with_slack_moves_when_the_object_does_not_fit_it_any_more(bounds):
    engine = engine_with(ViewPolicy(zoom=True, slack=1.6))
    view = engine.view_around((80, 80, 110, 110), 2.4)
    assert engine.follow(view, bounds) == engine.view_around(bounds, 2.4) != view


def test_a_view_without_slack_follows_every_change():
    engine = engine_with(ViewPolicy(zoom=True))
    view = engine.view_around((80, 80, 110, 110), 2.4)
    assert engine.follow(view, (81, 80, 111, 110)) != view


def test_a_small_slice_is_not_enlarged_beyond_one_cell_per_voxel():
    fit = ViewPolicy(zoom=False, fit=True)
    assert engine_with(fit, (64, 50, 3), tiny_model(512)).model.input_size == 256
    assert engine_with(replace(fit, fit=False), (64, 50, 3), tiny_model(512)).model.input_size == 512


def test_a_bare_click_is_tried_in_no_view_smaller_than_the_policys():
    sides = [
        [view.rows for view in click_views(engine_with(ViewPolicy(zoom=True, min_side=n)), np.array([[100.0, 100.0]]))]
        for n in (16.0, 64.0)
    ]
    assert min(sides[0]) < 64 <= min(sides[1])
    assert sides[0][: len(sides[1])] == sides[1]


def boundary_error(view: View, shape: tuple[int, int]) -> float:
    """Mean distance in voxels of wrongly labelled voxels' worth of area along the boundary of a flower.

    The mask grid holds the exact coverage of every cell: what remains is what the grid cannot express.
    """
    cells = view.size // 4
    fine = 8  # samples per cell and axis
    at = (np.arange(cells * fine) + 0.5) / (cells * fine)
    rows, cols = view.row + at * view.rows, view.col + at * view.cols
    inside = flower(rows[:, None], cols[None, :], shape)
    coverage = inside.reshape(cells, fine, cells, fine).mean((1, 3))
    mask = view.to_slice(torch.from_numpy(coverage - 0.5).float(), shape).numpy() > 0
    truth = flower(np.arange(shape[0])[:, None], np.arange(shape[1])[None, :], shape)
    edge = (truth[1:] != truth[:-1]).sum() + (truth[:, 1:] != truth[:, :-1]).sum()
    return float((mask != truth).sum() / edge)


def flower(row, col, shape):
    y, x = row - shape[0] / 2, col - shape[1] / 2
    return np.hypot(y, x) < 30 + 5 * np.cos(12 * np.arctan2(y, x))


def test_following_the_object_at_512_pixels_is_as_exact_as_the_whole_slice_at_1024():
    shape = (512, 512)
    plane = Volume(np.zeros((*shape, 1), np.uint8), np.eye(4), oriented=False).plane(2)
    policy = QUALITIES["balanced"].policy
    zoomed = zoom_view(plane, (220, 220, 292, 292), policy.follow_factor, policy.min_side, 512)
    fast, balanced, best = (boundary_error(v, shape) for v in (whole_view(plane, 512), zoomed, whole_view(plane, 1024)))
    assert balanced < best < fast
    assert balanced < 0.1


def test_a_bare_click_is_answered_from_a_view_that_was_tried_when_it_fits_the_object():
    y, x = np.mgrid[:200, :200]
    disc = np.hypot(y - 100, x - 90) < 36
    click = SlicePrompts(np.array([[100.0, 92.0]]), np.ones(1, bool))
    encoded = {}
    for slack in (1.0, 1.6):
        model = ClassicalModel()
        model.view_policy = ViewPolicy(zoom=True, factor=2.0, follow_factor=2.0, slack=slack)
        volume = Volume(np.repeat(disc[:, :, None], 2, axis=2).astype(np.float32), np.eye(4), oriented=False)
        engine = Engine(volume, model, Window(0, 1, "x"), axis=2)
        anchor = engine.predict(0, click)
        assert iou(anchor.mask, SliceMask.of(disc)) > 0.9
        encoded[slack] = engine.features.n_encoded
    tried = len(click_views(engine, click.points))
    assert encoded == {1.0: tried + 1, 1.6: tried}


def test_a_bare_click_on_a_further_slice_is_answered_with_the_memory_of_the_others():
    model = tiny_model(64)
    model.view_policy = ViewPolicy(zoom=True, slack=8.0)
    rng = np.random.default_rng(0)
    engine = Engine(Volume(rng.random((48, 48, 3), np.float32), np.eye(4), oriented=False), model, Window(0, 1, "x"), 2)
    click = SlicePrompts(np.array([[20.0, 22.0]]), np.ones(1, bool))
    everywhere = SliceMask.of(np.pad(np.ones((8, 8), bool), ((16, 24), (18, 22))))
    engine.mask_of = lambda decoded, view: everywhere  # an object that fits the view it is found in
    first = engine.predict(0, click)
    asked = []
    decode = model.decode
    model.decode = lambda requests: asked.extend(requests) or decode(requests)
    engine.predict(1, click)
    assert not any(request.memories for request in asked)
    engine.predict(1, click, others=[first])
    assert asked[-1].memories
