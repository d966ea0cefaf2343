from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts, Point
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.errors import PromptError, UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on, dice

VOLUME, INSIDE = ball()


@pytest.fixture
def session():
    return Session(VOLUME, ClassicalModel())


def test_a_box_then_a_propagation_gives_the_object(session):
    first = session.add_prompt(1, box_on(INSIDE, 2, 20))
    assert first.prompted
    assert first.index == 20
    for _ in session.propagate():
        pass
    assert dice(session.label_map() == 1, INSIDE) > 0.9


def test_one_click_finds_the_objects_scale_by_itself(session):
    session.add_prompt(1, Point((24, 22, 20)))
    assert dice(session.label_map()[..., 20] == 1, INSIDE[..., 20]) > 0.85


class Lopsided(ClassicalModel):
    """Answers a little down and to the right, so that it matters which way a slice is shown to it."""

    def decode(self, requests):
        return [replace(a, logits=a.logits.roll((2, 5), (0, 1))) for a in super().decode(requests)]


def test_the_same_object_in_six_stored_orders_gives_the_same_world_mask():
    """The box is the same in the world; the file stores the axes in another order and direction."""
    affine = np.diag([1.0, 1.2, 2.0, 1.0])
    volume, inside = ball(shape=(40, 36, 20), centre=(20, 18, 10), radii=(11, 8, 5), affine=affine)
    expected = None
    for number, order in enumerate(permutations(range(3))):
        flips = [(number >> bit) & 1 for bit in range(3)]
        stored, stored_inside, stored_affine = volume.voxels, inside, affine.copy()
        for axis, flip in enumerate(flips):
            if flip:
                stored, stored_inside = np.flip(stored, axis), np.flip(stored_inside, axis)
                stored_affine[:3, 3] += stored_affine[:3, axis] * (stored.shape[axis] - 1)
                stored_affine[:3, axis] *= -1
        stored, stored_inside = np.transpose(stored, order), np.transpose(stored_inside, order)
        stored_affine[:, :3] = stored_affine[:, :3][:, order]
        session = Session(Volume(stored, stored_affine), Lopsided())
        index = 10 if not flips[2] else stored.shape[order.index(2)] - 1 - 10
        session.add_prompt(1, box_on(stored_inside, order.index(2), index))
        for _ in session.propagate():
            pass
        world = np.flip(
            np.transpose(session.label_map(), np.argsort(order)), [a for a, flip in enumerate(flips) if flip]
        )
        expected = world if expected is None else expected
        assert np.array_equal(world, expected), (order, flips)
    assert dice(expected == 1, inside) > 0.6


def test_a_correction_on_a_tracked_slice_sticks_and_spreads(session):
    """The official predictor drops such a correction without a word."""
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    before = session.label_map().copy()
    half = MaskPrompt(INSIDE[..., 24] & (np.arange(48)[:, None] < 24), axis=2, index=24)
    session.add_prompt(1, half)
    list(session.propagate())
    after = session.label_map()
    assert np.array_equal(after[..., 24] == 1, half.mask)
    assert (after[..., 25] != before[..., 25]).any()


def test_a_click_corrects_what_it_points_at(session):
    mask = session.add_prompt(1, box_on(INSIDE, 2, 20)).mask.full(session.engine(2).plane.shape)
    plane = session.engine(2).plane
    row, col = np.argwhere(mask)[3]
    voxel = tuple(float(c) for c in plane.to_voxel((row, col), 20))
    corrected = session.add_prompt(1, Point(voxel, positive=False))
    assert not corrected.mask.full(plane.shape)[row, col]
    assert corrected.mask.n_voxels > 0.5 * mask.sum()


def test_only_slices_whose_prompts_changed_are_answered_again(session):
    first, second = box_on(INSIDE, 2, 20), box_on(INSIDE, 2, 24)
    assert [r.index for r in session.set_prompts(1, [first])] == [20]
    assert [r.index for r in session.set_prompts(1, [first, second])] == [24]
    assert session.set_prompts(1, [second]) == []
    assert sorted(session.objects[1].results) == [24]


def test_an_earlier_run_leaves_nothing_where_the_object_has_ended_now(session):
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    reached = [i for i, r in session.objects[1].results.items() if r.mask.n_voxels]
    session.window = Window(1000, 2000, "level/width")  # black everywhere: the object is seen nowhere
    emptied = [r.index for r in session.propagate() if r.mask.n_voxels == 0]
    assert set(reached) - {20} <= set(emptied)
    assert [i for i, r in session.objects[1].results.items() if r.mask.n_voxels] == [20]


def test_faults_of_one_object_leave_all_objects_unchanged(session):
    good = ObjectPrompts(1, (box_on(INSIDE, 2, 20),), "ball")
    bad = ObjectPrompts(2, (Box(((0, 0, 99), (5, 5, 99))),))
    with pytest.raises(PromptError, match="object 2"):
        session.set_objects([good, bad])
    assert session.objects == {}


def test_propagating_without_a_prompt_says_what_is_missing(session):
    with pytest.raises(PromptError, match="give a box, a point or a mask"):
        list(session.propagate())
    session.add_object(4)
    with pytest.raises(PromptError, match="object 4: it has no prompt"):
        list(session.propagate())


def test_objects_on_different_axes_share_one_label_map(session):
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    session.add_prompt(2, box_on(INSIDE, 0, 24))
    list(session.propagate())
    labels = session.label_map()
    assert dice(labels > 0, INSIDE) > 0.85
    assert (labels == 1).sum() > (labels == 2).sum()


def test_an_id_is_given_once(session):
    session.add_object(3)
    assert session.add_object().object_id == 4
    with pytest.raises(UserInputError, match="exists already"):
        session.add_object(3)


def test_a_new_window_is_seen_by_the_next_answer(session):
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    encoded = session.engine(2)
    session.window = Window(0, 50, "level/width")
    assert session.engine(2) is not encoded
    assert session.engine(2).slice_image(20).min() == 1


def test_a_whole_object_whose_id_is_in_use_takes_none_of_the_others():
    session = Session(VOLUME, ClassicalModel())
    session.add_prompt(1, Point((24, 22, 20)))
    whole = np.zeros(VOLUME.shape, bool)
    whole[2:5, 2:5, 2:5] = True
    session.set_objects([ObjectPrompts(1, (), "liver", whole=whole), ObjectPrompts(2, (Point((24, 22, 20)),), "two")])
    assert {i: o.name for i, o in session.objects.items()} == {1: "", 2: "two", 3: "liver"}
