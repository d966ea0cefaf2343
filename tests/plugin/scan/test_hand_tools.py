"""Hand tools as actions of the panel, without Qt."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


def size(bench) -> int:
    return bench.controller.work.current_object.n_voxels


def test_growing_and_shrinking_change_all_slices_and_undo_takes_them_back(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    before = size(ball_bench)
    ball_bench.controller.do("grow")
    ball_bench.settle()
    grown = size(ball_bench)
    assert grown > before
    assert "slices changed" in ball_bench.controller.workspace.status
    ball_bench.controller.do("shrink")
    ball_bench.settle()
    assert size(ball_bench) < grown
    ball_bench.controller.do("undo")
    ball_bench.controller.do("undo")
    ball_bench.settle()
    assert size(ball_bench) == before


@pytest.mark.parametrize("name", ["smooth", "fill_holes", "keep_largest", "snap_to_edge"])
def test_every_tool_runs_and_shows_what_the_session_holds(ball_bench, name):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do(name)
    ball_bench.settle()
    work = ball_bench.controller.work
    assert np.count_nonzero(work.result.layer.data) == size(ball_bench) > 0
    assert not ball_bench.warnings


def test_without_a_mask_a_tool_says_so(ball_bench):
    ball_bench.controller.do("grow")
    assert "nothing to shape" in ball_bench.controller.workspace.status
