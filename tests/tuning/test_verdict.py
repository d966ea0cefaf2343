"""The verdict: better by enough, for several subjects, and nothing lost."""

from __future__ import annotations

import math

import pytest

from napari_sam2.evaluation.segfm import SegfmScores
from napari_sam2.tuning.verdict import Scores
from napari_sam2.tuning.verdict import judge as judge_scores


def scores(box, clicks=None, names=("liver",), subjects=("a", "b", "c")):
    return [
        SegfmScores(f"scan {who}", name, who, 100, box_dice=box + 0.01 * n, dice=_clicks(clicks, 0.01 * n))
        for n, who in enumerate(subjects)
        for name in names
    ]


def _clicks(last, more):
    return () if last is None else (0.1, 0.2, last + more)


GUARD = scores(0.8)


def judge(before, after, guard_before, guard_after, hidden=(0.4, 0.4)):
    """The verdict; with the image hidden, a box has these scores before and after."""
    hidden_before, hidden_after = (scores(value, subjects=sorted({s.subject for s in before})) for value in hidden)
    return judge_scores(Scores(before, hidden_before, guard_before), Scores(after, hidden_after, guard_after))


def test_a_gain_on_all_subjects_ships():
    verdict = judge(scores(0.70, 0.80), scores(0.76, 0.84), GUARD, GUARD)
    assert verdict.better
    assert verdict.overall.gain == pytest.approx(0.05)
    assert verdict.overall.low == pytest.approx(0.05)
    assert verdict.overall.box == (pytest.approx(0.71), pytest.approx(0.77))


def test_a_gain_of_one_subject_among_losses_does_not_ship():
    before, after = scores(0.70, 0.80), scores(0.69, 0.79)
    after[0] = SegfmScores("scan a", "liver", "a", 100, box_dice=0.95, dice=(0.1, 0.2, 0.95))
    verdict = judge(before, after, GUARD, GUARD)
    assert verdict.overall.gain > 0.01
    assert verdict.overall.low < 0
    assert not verdict.better


def test_a_gain_too_small_does_not_ship():
    assert not judge(scores(0.70, 0.80), scores(0.708, 0.808), GUARD, GUARD).better


def test_a_structure_that_loses_stops_it_though_the_mean_gains():
    before = scores(0.70, 0.80, ("liver", "spleen"))
    after = [
        SegfmScores(s.case, s.label, s.subject, 100, box_dice=s.box_dice + change, dice=(0, 0, s.dice[-1] + change))
        for s, change in zip(before, [0.15, -0.04] * 3, strict=True)
    ]
    verdict = judge(before, after, GUARD, GUARD)
    assert verdict.overall.low > 0
    assert not verdict.better
    assert any(reason.startswith("not met: spleen") for reason in verdict.reasons)


def test_forgetting_the_rest_stops_it():
    verdict = judge(scores(0.70, 0.80), scores(0.80, 0.90), GUARD, scores(0.77))
    assert not verdict.better
    assert math.isnan(verdict.guard.clicks[0])


def test_one_held_out_subject_needs_more_and_gets_no_interval():
    def one(box):
        return scores(box, 0.8, subjects=("a",))

    assert math.isnan(judge(one(0.70), one(0.80), GUARD, GUARD).overall.low)
    assert judge(one(0.70), one(0.80), GUARD, GUARD).better
    assert not judge(one(0.70), one(0.74), GUARD, GUARD).better


def test_a_gain_without_the_image_stops_it():
    """Labels that lie beside their objects teach shapes, which gain on labels that lie beside theirs."""
    before, after = scores(0.60, 0.70), scores(0.70, 0.80)
    assert judge(before, after, GUARD, GUARD, hidden=(0.40, 0.55)).better
    verdict = judge(before, after, GUARD, GUARD, hidden=(0.40, 0.65))
    assert not verdict.better
    assert any(reason.startswith("not met: The image is worth +0.050") for reason in verdict.reasons)
    assert judge(before, after, GUARD, GUARD, hidden=(0.65, 0.69)).better
    assert not judge(before, after, GUARD, GUARD, hidden=(0.75, 0.71)).better
