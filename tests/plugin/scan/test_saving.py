"""When an existing file may be replaced, and saving while a run goes on."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.plugin.control.replacing import ReplaceGuard
from tests.plugin.conftest import BALL_CENTRE

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


@pytest.fixture
def precious(tmp_path):
    path = tmp_path / "precious.nii.gz"
    path.write_bytes(b"precious")
    return path


def test_a_question_holds_for_the_state_and_the_file_it_was_asked_about(precious):
    guard, state = ReplaceGuard(), object()
    assert not guard.allows(precious, state)
    assert not guard.allows(precious, object())
    precious.write_bytes(b"other than before")
    assert not guard.allows(precious, state)
    assert not guard.allows(precious, object())
    again = object()
    assert not guard.allows(precious, again)
    assert guard.allows(precious, again)
    assert not guard.allows(precious, again)


def test_a_file_that_was_written_here_is_replaced_unasked_until_somebody_else_writes_it(precious):
    guard = ReplaceGuard()
    guard.wrote(precious)
    assert guard.allows(precious, object())
    precious.write_bytes(b"by another program")
    assert not guard.allows(precious, object())


def test_after_a_click_the_question_is_asked_again(ball_bench, precious):
    work = ball_bench.controller.work
    work.save(precious)
    ball_bench.box(LOW, HIGH)
    work.save(precious)
    ball_bench.settle()
    assert precious.read_bytes() == b"precious"
    assert "again" in ball_bench.controller.workspace.status
    work.save(precious)
    ball_bench.settle()
    assert nib.load(precious).shape == (40, 36, 24)


def test_saving_during_a_run_waits_for_its_end(ball_bench, tmp_path):
    work, target = ball_bench.controller.work, tmp_path / "out.nii.gz"
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("propagate_both")
    work.save(target)
    assert "when the run has ended" in ball_bench.controller.workspace.status
    ball_bench.settle()
    assert np.array_equal(np.asarray(nib.load(target).dataobj), ball_bench.labels())
    assert len(work.object(1).slices) > 5
    assert "Saved out.nii.gz" in ball_bench.controller.workspace.status


def test_an_existing_file_is_asked_about_before_the_run_has_ended(ball_bench, precious):
    work = ball_bench.controller.work
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("propagate_both")
    work.save(precious)
    assert "again" in ball_bench.controller.workspace.status
    work.save(precious)
    assert "when the run has ended" in ball_bench.controller.workspace.status
    ball_bench.settle()
    assert np.array_equal(np.asarray(nib.load(precious).dataobj), ball_bench.labels())
