"""Points and Shapes layers of the user's own, followed as they change."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.prompts import MaskPrompt
from napari_sam2.plugin.scan.own_layers import prompts_in
from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


@pytest.fixture
def shapes(ball_bench):
    """A lasso on one slice and a rectangle on another, both of the current object."""
    work = ball_bench.controller.work
    to_data = work.shown.grid.to_data
    lasso = to_data([LOW, (HIGH[0], LOW[1], LOW[2]), HIGH, (LOW[0], HIGH[1], HIGH[2])])
    box = to_data([np.array(c) + (0, 0, 3) for c in (LOW, (HIGH[0], LOW[1], LOW[2]), HIGH, (LOW[0], HIGH[1], LOW[2]))])
    layer = ball_bench.viewer.add_shapes(
        [lasso, box], shape_type=["polygon", "rectangle"], scale=work.image.scale, units=work.image.units
    )
    ball_bench.viewer.layers.selection.active = layer
    ball_bench.controller.do("use_layer")
    ball_bench.settle()
    return layer


def test_a_lasso_deleted_in_a_layer_of_ones_own_goes_like_a_box(ball_bench, shapes):
    work, k = ball_bench.controller.work, int(CENTRE[2])
    assert sorted(work.object(1).slices) == [k, k + 3]
    shapes.selected_data = {0}
    shapes.remove_selected()
    ball_bench.settle()
    assert sorted(work.object(1).slices) == [k + 3]
    assert not any(isinstance(p, MaskPrompt) for p in work.object(1).prompts)
    assert not ball_bench.labels()[:, :, k].any()
    shapes.selected_data = {0}
    shapes.remove_selected()
    ball_bench.settle()
    assert not work.object(1).prompts
    assert not ball_bench.labels().any()


def test_a_lasso_that_is_moved_is_answered_where_it_is_now(ball_bench, shapes):
    work, k = ball_bench.controller.work, int(CENTRE[2])
    before = ball_bench.labels()[:, :, k] == 1
    moved = np.array(shapes.data[0]) + (0, 3, 3)
    shapes.data = [moved, shapes.data[1]]
    shapes.events.data(value=shapes.data, action="changed", data_indices=(0,), vertex_indices=((),))
    ball_bench.settle()
    after = ball_bench.labels()[:, :, k] == 1
    assert np.argwhere(after).mean(axis=0) == pytest.approx(np.argwhere(before).mean(axis=0) + 3, abs=1)
    assert sum(isinstance(p, MaskPrompt) for p in work.object(1).prompts) == 1


def test_an_edit_that_changes_nothing_asks_nothing(ball_bench, shapes):
    work = ball_bench.controller.work
    before, asked = work.object(1).prompts, []
    work.answered.connect(asked.append)
    shapes.events.data(value=shapes.data, action="changed", data_indices=(0,), vertex_indices=((),))
    ball_bench.settle()
    assert asked == []
    assert work.object(1).prompts == before


def test_clicks_of_the_canvas_and_of_a_layer_live_side_by_side(ball_bench, shapes):
    work = ball_bench.controller.work
    ball_bench.click(CENTRE + (0, 0, 3))
    assert len(work.object(1).prompts) == 3
    shapes.selected_data = {0, 1}
    shapes.remove_selected()
    ball_bench.settle()
    assert len(work.object(1).prompts) == 1
    assert len(work.prompts.clicks.data) == 1


def test_columns_say_whose_a_prompt_is_and_what_it_means(ball_bench):
    work = ball_bench.controller.work
    points = ball_bench.viewer.add_points(
        work.shown.grid.to_data([CENTRE, CENTRE + (1, 0, 0), CENTRE + (2, 0, 0)]),
        features={"label": [2, 2, 5], "polarity": ["include", "Negative", "1"]},
        scale=work.image.scale,
        units=work.image.units,
    )
    prompts = prompts_in(points, work.image, work.shown, 1)
    assert {i: [p.positive for p in given] for i, given in prompts.items()} == {2: [True, False], 5: [True]}
    assert prompts[5][0].voxel == pytest.approx(CENTRE + (2, 0, 0))
