"""The range of slices that runs may write, and the overlap rule, without Qt."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.plugin.scan.slice_range import SliceRange
from napari_sam2.plugin.scan.table_rows import strip_content
from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
K = int(CENTRE[2])
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


def test_a_range_keeps_its_ends_in_order_and_the_whole_volume_is_none():
    chosen, told = SliceRange(), []
    chosen.changed.connect(lambda: told.append(chosen.ends(2)))
    chosen.begin_at(2, 10, 24)
    chosen.end_at(2, 14, 24)
    assert chosen.slices(2) == range(10, 15)
    chosen.begin_at(2, 20, 24)
    assert chosen.ends(2) == (20, 23)
    chosen.end_at(2, 5, 24)
    assert chosen.ends(2) == (0, 5)
    assert chosen.ends(1) is None
    chosen.set(2, 0, 23, 24)
    assert told == [(10, 23), (10, 14), (20, 23), (0, 5), None]


def test_a_run_writes_only_what_the_keys_allow_until_the_range_is_cleared(ball_bench):
    controller = ball_bench.controller
    ball_bench.box(LOW, HIGH)
    controller.work.view.go_to(2, K - 1)
    controller.do("range_from_here")
    controller.work.view.go_to(2, K + 2)
    controller.do("range_to_here")
    assert strip_content(controller.work).allowed == (K - 1, K + 2)
    controller.do("propagate_both")
    ball_bench.settle()
    assert sorted(controller.work.object(1).slices) == [K - 1, K, K + 1, K + 2]
    controller.do("clear_range")
    assert strip_content(controller.work).allowed is None
    controller.do("propagate_both")
    ball_bench.settle()
    assert len(controller.work.object(1).slices) > 6


def test_a_correction_spreads_within_the_range_only(ball_bench):
    controller = ball_bench.controller
    ball_bench.box(LOW, HIGH)
    controller.do("propagate_both")
    ball_bench.settle()
    before = dict(controller.work.object(1).slices)
    controller.work.range.set(2, K - 2, K + 2, 24)
    ball_bench.click(CENTRE + (0, 0, 2))
    after = controller.work.object(1).slices
    assert after[K + 2].prompted
    assert all(after[k] is before[k] for k in before if not K - 2 <= k <= K + 2)


def test_a_range_on_another_plane_than_the_objects_is_refused(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("show_coronal")
    ball_bench.controller.do("range_from_here")
    assert "axial" in ball_bench.controller.workspace.status
    assert ball_bench.controller.work.range.ends(1) is None
    assert ball_bench.controller.work.range.ends(2) is None


def test_another_image_begins_without_a_range(ball_bench, ball_file):
    ball_bench.controller.work.range.set(2, 3, 5, 24)
    ball_bench.open(ball_file)
    assert ball_bench.controller.work.range.ends(2) is None


@pytest.fixture
def two_claims(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("next_object")
    ball_bench.box(LOW, HIGH)
    return ball_bench


def test_the_overlap_rule_shows_at_once_and_is_in_the_journal(two_claims, sessions_folder):
    assert set(np.unique(two_claims.labels())) == {0, 1}
    two_claims.controller.work.use_overlap("last")
    two_claims.settle()
    assert set(np.unique(two_claims.labels())) == {0, 2}
    assert two_claims.controller.work.snapshot.overlap == "last"
    lines = next(sessions_folder.glob("*/events.jsonl")).read_text().splitlines()
    assert '"event":"overlap","rule":"last"' in lines[-1]


def test_a_finished_object_keeps_its_voxels_whatever_the_rule(two_claims):
    two_claims.controller.work.finish(1, True)
    two_claims.controller.work.use_overlap("last")
    two_claims.settle()
    assert set(np.unique(two_claims.labels())) == {0, 1}
