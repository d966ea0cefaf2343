"""The tri-planar check in the viewer, without Qt."""

from __future__ import annotations

import numpy as np
import pytest

from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


@pytest.fixture
def checked(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    ball_bench.controller.do("check_planes")
    ball_bench.settle()
    return ball_bench


def test_the_agreement_lies_on_the_image_and_changes_nothing(checked):
    layer = next(layer for layer in checked.viewer.layers if layer.name.endswith("agreement"))
    annotation = checked.controller.work
    assert np.array_equal(annotation.shown.grid.stored(layer.data), checked.controller.work.check.pending.votes)
    assert np.allclose(layer.scale, annotation.image.scale)
    assert not layer.editable
    assert annotation.snapshot.undo == "propagation"
    told = checked.controller.work.check.summary
    assert "axial" in told
    assert told.count("0.") + told.count("1.") >= 3


def test_the_consensus_is_one_action_that_undo_takes_back(checked):
    before = checked.labels().copy()
    votes = checked.controller.work.check.pending.votes
    checked.controller.do("take_consensus")
    checked.settle()
    fixed = checked.labels()[:, :, CENTRE[2]]
    assert np.array_equal(fixed, before[:, :, CENTRE[2]])
    assert np.array_equal(checked.labels() == 1, votes >= 2)
    assert checked.controller.work.snapshot.undo == "consensus"
    assert not any(layer.name.endswith("agreement") for layer in checked.viewer.layers)
    assert checked.controller.work.check.pending is None
    checked.controller.do("undo")
    checked.settle()
    assert np.array_equal(checked.labels(), before)


def test_discarding_leaves_everything_as_it_was(checked):
    before = checked.labels().copy()
    checked.controller.do("discard_check")
    assert checked.controller.work.check.summary == ""
    assert not any(layer.name.endswith("agreement") for layer in checked.viewer.layers)
    assert np.array_equal(checked.labels(), before)
    checked.controller.do("take_consensus")
    assert "No check" in checked.controller.workspace.status


def test_a_check_of_what_has_changed_is_refused(checked):
    checked.click(CENTRE + (0, 0, 3))
    checked.controller.do("take_consensus")
    checked.settle()
    assert "changed since" in checked.warnings[-1]


def test_a_check_can_be_stopped_and_says_so(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("check_planes")
    assert ball_bench.controller.work.run.running
    ball_bench.controller.do("stop")
    ball_bench.settle()
    assert ball_bench.controller.work.check.pending is None
    assert ball_bench.controller.workspace.status == "Stopped."


def test_nothing_to_check_is_said(ball_bench):
    ball_bench.controller.do("check_planes")
    assert "no mask yet" in ball_bench.controller.workspace.status


def test_another_image_takes_the_check_away(checked, ball_file):
    checked.open(ball_file)
    assert checked.controller.work.check.pending is None
    assert not any(layer.name.endswith("agreement") for layer in checked.viewer.layers)
