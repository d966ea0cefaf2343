from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.window import choose_window
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.propagate import propagate
from napari_sam2.engine.sweeps import count_slices
from napari_sam2.models.classical import ClassicalModel
from tests.phantoms import ball, box_on, dice

VOLUME, INSIDE = ball()
AXIS = 2


@pytest.fixture
def engine():
    return Engine(VOLUME, ClassicalModel(), choose_window(VOLUME), AXIS)


def anchor(engine, index):
    prompts = SlicePrompts.of([box_on(INSIDE, AXIS, index)], VOLUME, AXIS)[index]
    return engine.predict(index, prompts)


def painted(engine, results):
    found = np.zeros(VOLUME.shape, dtype=bool)
    for result in results:
        engine.plane.take(found, result.index)[:] = result.mask.full(engine.plane.shape)
    return found


def test_one_box_in_the_middle_finds_the_object_in_both_directions(engine):
    middle = anchor(engine, 20)
    results = list(propagate(engine, {1: [middle]}))
    found = painted(engine, results)
    engine.plane.take(found, 20)[:] = middle.mask.full(engine.plane.shape)
    assert dice(found, INSIDE) > 0.9


def test_propagation_starts_at_the_anchor_and_ends_with_the_object(engine):
    indices = [result.index for result in propagate(engine, {1: [anchor(engine, 20)]})]
    assert indices[:4] == [21, 19, 22, 18]
    last_inside = np.flatnonzero(INSIDE.any(axis=(0, 1)))
    assert min(indices) < last_inside[0]
    assert max(indices) > last_inside[-1]
    assert len(indices) < VOLUME.shape[AXIS] - 1


@pytest.mark.parametrize(("direction", "sign"), [("forward", 1), ("backward", -1)])
def test_a_direction_is_kept(engine, direction, sign):
    indices = [result.index for result in propagate(engine, {1: [anchor(engine, 20)]}, direction=direction)]
    assert all((index - 20) * sign > 0 for index in indices)
    assert len(indices) >= 8


def test_only_the_wanted_slices_are_yielded_also_when_the_anchor_lies_outside(engine):
    indices = [result.index for result in propagate(engine, {1: [anchor(engine, 20)]}, slices=range(23, 26))]
    assert indices == [23, 24, 25]


def test_slices_between_two_anchors_come_from_both_sides_and_are_reconciled(engine):
    results = list(propagate(engine, {1: [anchor(engine, 16), anchor(engine, 24)]}))
    between = [r for r in results if 16 < r.index < 24]
    final = [r for r in between if r.final]
    assert sorted(r.index for r in final) == list(range(17, 24))
    assert len(between) == 2 * len(final)
    assert all(r.scores.direction_iou > 0.8 for r in final)
    assert dice(painted(engine, final)[..., 17:24], INSIDE[..., 17:24]) > 0.9


def test_one_direction_between_two_anchors_is_final_at_once(engine):
    results = list(propagate(engine, {1: [anchor(engine, 16), anchor(engine, 24)]}, direction="forward"))
    assert all(r.final for r in results)


def test_stopping_keeps_what_was_yielded_and_ends_at_once(engine):
    seen = []
    for result in propagate(engine, {1: [anchor(engine, 20)]}, should_stop=lambda: len(seen) >= 4):
        seen.append(result)
    assert len(seen) == 4


def test_every_slice_is_encoded_once_however_many_objects_there_are(tiny_sam2):
    engine = Engine(VOLUME, tiny_sam2, choose_window(VOLUME), AXIS)
    anchors = {object_id: [anchor(engine, index)] for object_id, index in ((1, 18), (2, 20), (3, 22))}
    list(propagate(engine, anchors, slices=range(14, 28)))
    encoded = engine.features.n_encoded
    assert encoded <= VOLUME.shape[AXIS]
    list(propagate(engine, anchors, slices=range(14, 28)))
    assert engine.features.n_encoded == encoded


def test_the_count_for_progress_is_what_an_unending_object_takes():
    def at(index):
        return SimpleNamespace(index=index, mask=None, view=None)

    assert count_slices({1: [at(3)]}, 10) == 9
    assert count_slices({1: [at(3)]}, 10, direction="forward") == 6
    assert count_slices({1: [at(2), at(6)]}, 10) == 2 + 3 + 3 + 3
    assert count_slices({1: [at(3)]}, 10, slices=range(2, 5)) == 2
