"""The vote of planes within the boxes."""

import numpy as np

from napari_sam2.core.prompts import Box
from napari_sam2.engine.box3d import Extent, vote

GRID = np.indices((24, 24, 24))
TRUTH = ((GRID - 11.5) ** 2).sum(0) < 64
BOXED = {2: 12, 0: 12, 1: 12}
TRUST = dict.fromkeys(BOXED, 0.8)
WHOLE = Extent((0, 0, 0), (23, 23, 23))


def overlap(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_the_extent_holds_all_boxes_along_every_axis():
    extent = Extent.of([Box(((9, 2, 5), (3, 8, 5))), Box(((4, 1, 3), (4, 6, 11)))])
    assert (extent.low, extent.high) == ((3, 1, 3), (9, 8, 11))
    assert [extent.along(axis) for axis in range(3)] == [range(3, 10), range(1, 9), range(3, 12)]


def test_planes_that_agree_give_what_they_agree_on():
    assert overlap(vote({2: TRUTH, 0: TRUTH, 1: TRUTH}, BOXED, TRUST, (1, 1, 1), WHOLE), TRUTH) > 0.97


def test_what_one_plane_loses_the_others_bring_back():
    lost = TRUTH.copy()
    lost[:, :, 16:] = False
    assert overlap(vote({2: lost, 0: TRUTH, 1: TRUTH}, BOXED, TRUST, (1, 1, 1), WHOLE), TRUTH) > 0.95


def test_a_plane_that_fails_on_the_others_boxed_slices_has_no_say():
    wrong = np.roll(TRUTH, 9, axis=2)
    alone = vote({2: TRUTH, 0: TRUTH}, BOXED, TRUST, (1, 1, 1), WHOLE)
    assert overlap(vote({2: TRUTH, 0: TRUTH, 1: wrong}, BOXED, TRUST, (1, 1, 1), WHOLE), alone) > 0.97


def test_planes_that_never_agree_leave_the_objects_own():
    here, there = np.zeros_like(TRUTH), np.zeros_like(TRUTH)
    here[2:6, 2:6, 10:15], there[18:22, 18:22, 2:6] = True, True
    assert overlap(vote({2: here, 0: there}, BOXED, TRUST, (1, 1, 1), WHOLE), here) > 0.8


def test_nothing_lies_outside_the_boxes():
    extent = Extent((6, 6, 6), (17, 17, 14))
    found = vote({2: TRUTH, 0: TRUTH}, BOXED, TRUST, (1, 1, 1), extent)
    assert found[extent.block].sum() == found.sum() > 0


def test_thick_slices_are_not_smoothed_into_each_other():
    single = np.zeros_like(TRUTH)
    single[8:16, 8:16, 12] = True
    found = vote({2: single}, {2: 12}, {2: 0.8}, (1, 1, 8), WHOLE)
    assert found.any((0, 1)).nonzero()[0].tolist() == [12]


def test_a_run_that_the_model_does_not_trust_has_less_say():
    """Two planes agree with each other in what they add to the own one, which the model trusts."""
    more = TRUTH | np.roll(TRUTH, 5, axis=0)
    runs = {2: TRUTH, 0: more, 1: more}
    poor = vote(runs, BOXED, {2: 0.9, 0: 0.3, 1: 0.3}, (1, 1, 1), WHOLE)
    good = vote(runs, BOXED, {2: 0.6, 0: 0.9, 1: 0.9}, (1, 1, 1), WHOLE)
    assert overlap(poor, TRUTH) > 0.96
    assert overlap(good, more) > 0.95
