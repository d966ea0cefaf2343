"""How long a run learns."""

from __future__ import annotations

import time

import pytest

from napari_sam2.core.mix import mix_to_json, only
from napari_sam2.errors import UserInputError
from napari_sam2.tuning.plan import Plan, read_plan, seconds_of, steps_for


def test_steps_follow_from_minutes_and_rate():
    assert steps_for(15, 1.5) == 600
    assert steps_for(0.001, 10) >= 4


def test_time_that_other_programs_take_does_not_count():
    def step():
        time.sleep(0.02)
        sum(range(1000))

    assert seconds_of(step, 1) < 0.02


def test_a_plan_comes_back_from_its_file(tmp_path):
    plan = Plan(600, 1, 7, 15.0, "ab", "cd")
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert read_plan(tmp_path / "plan.json") == plan
    assert plan.chunk == 60
    with pytest.raises(UserInputError, match="no run to go on with"):
        read_plan(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("mix", "n_channels"),
    [(None, 2), ({"kind": "one", "weights": [[1.0]], "offsets": [0.0]}, 1), ({}, 2), ({"kind": "rgb"}, 2)],
)
def test_a_plan_whose_mix_is_lost_or_damaged_is_no_plan(mix, n_channels):
    """It would learn from the scan alone, and say nothing of it."""
    with pytest.raises(UserInputError, match="in another folder"):
        Plan(600, 1, 7, 15.0, "ab", "cd", mix=mix).mix_of(n_channels)


def test_a_plan_says_what_is_seen_of_the_channels():
    mix = only(1, 2)
    assert Plan(600, 1, 7, 15.0, "ab", "cd", mix=mix_to_json(mix)).mix_of(2) == mix
    assert Plan(600, 1, 7, 15.0, "ab", "cd").mix_of(1) is None
