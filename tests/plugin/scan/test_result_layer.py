"""Which slices are painted again after a change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_sam2.core.labels import compose
from napari_sam2.core.prompts import Box
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.plugin.scan.result_layer import changed_slices
from napari_sam2.session.snapshot import ObjectSnapshot, SessionSnapshot


def result(index, object_id=1, axis=2):
    mask = SliceMask.of(np.eye(4, dtype=bool))
    return SliceResult(object_id, axis, index, mask, SliceScores(1.0, 0.9), prompted=True)


def state(*objects, overlap="first"):
    return SessionSnapshot({obj.object_id: obj for obj in objects}, overlap=overlap)


FIVE, SIX = result(5), result(6)
ONE = ObjectSnapshot(1, axis=2, results={5: FIVE, 6: SIX})
TWO = ObjectSnapshot(2, axis=0, results={3: result(3, 2, 0)})


def test_only_slices_whose_result_is_another_object_are_painted():
    after = replace(ONE, results={5: FIVE, 6: result(6), 7: result(7)})
    assert changed_slices(state(ONE, TWO), state(after, TWO)) == {(2, 6), (2, 7)}
    assert changed_slices(state(ONE), state(replace(ONE, results={5: FIVE}))) == {(2, 6)}
    assert changed_slices(state(ONE, TWO), state(ONE, TWO)) == set()


def test_the_first_state_and_objects_that_come_or_go_are_painted_whole():
    assert changed_slices(None, state(ONE)) == {(2, 5), (2, 6)}
    assert changed_slices(state(ONE), state(ONE, TWO)) == {(0, 3)}
    assert changed_slices(state(ONE, TWO), state(ONE)) == {(0, 3)}


def test_another_axis_rank_or_rule_paints_where_the_object_was_and_is():
    turned = replace(ONE, axis=1, results={9: result(9, axis=1)})
    assert changed_slices(state(ONE), state(turned)) == {(2, 5), (2, 6), (1, 9)}
    assert changed_slices(state(ONE), state(replace(ONE, finished=True))) == {(2, 5), (2, 6)}
    assert changed_slices(state(ONE, TWO), state(ONE, TWO, overlap="last")) == {(2, 5), (2, 6), (0, 3)}


def test_a_run_that_turns_round_who_is_smaller_is_shown_on_all_slices(ball_bench):
    """Slices that were painted before the turn kept their earlier owner until the end of the day."""
    work = ball_bench.controller.work
    for object_id, high in ((1, 24), (2, 26)):
        work.select(object_id)
        work.add_prompt(Box(((12, 14, 12), (high, 26, 12))), 2)
        ball_bench.settle()

    def results(object_id, size, slices):
        full = np.zeros((36, 40), dtype=bool)
        full[4 : 4 + size, 4:20] = True
        mask = SliceMask.of(full)
        return [SliceResult(object_id, 2, k, mask, SliceScores(1.0, 0.9), prompted=False) for k in slices]

    work.show_results([*results(1, 10, [3, 4]), *results(2, 5, [3, 4])])
    assert 2 in np.unique(ball_bench.labels()[:, :, 3])
    work.show_results(results(2, 30, [5, 6, 7, 8]))
    objects = [obj.masks for obj in work.snapshot.objects.values()]
    assert np.array_equal(ball_bench.labels(), compose(work.shown.volume, objects, work.snapshot.overlap))
