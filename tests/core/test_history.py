from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.labels import ObjectMasks, compose, compose_slice
from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.core.volume import Volume
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball()


@pytest.fixture
def session():
    made = Session(VOLUME, ClassicalModel())
    made.add_prompt(1, box_on(INSIDE, 2, 20))
    return made


def test_twenty_undos_and_redos_give_back_every_state_exactly(session):
    states = [session.label_map()]
    for number in range(10):
        session.add_prompt(1, Point((24 + number % 3, 22, 20 + number % 4)))
        states.append(session.label_map())
        list(session.propagate(slices=range(14, 27)))
        states.append(session.label_map())
    for state in reversed(states[:-1]):
        assert session.undo()
        assert np.array_equal(session.label_map(), state)
    for state in states[1:]:
        assert session.redo()
        assert np.array_equal(session.label_map(), state)


def test_a_new_action_forgets_what_was_undone(session):
    session.undo()
    session.add_prompt(1, box_on(INSIDE, 2, 21))
    assert session.redo() == ""


def test_nothing_to_undo_is_no_error():
    empty = Session(VOLUME, ClassicalModel())
    assert empty.undo() == ""
    assert empty.redo() == ""


def test_an_accepted_slice_is_never_overwritten_and_propagation_starts_from_it(session):
    list(session.propagate())
    session.accept_slice(1, 23)
    kept = session.objects[1].results[23]
    session.add_prompt(1, Point((30, 22, 20)))
    list(session.propagate())
    assert session.objects[1].results[23] is kept
    with pytest.raises(UserInputError, match="accepted"):
        session.add_prompt(1, Point((24, 22, 23)))
    session.reopen_slice(1, 23)
    session.add_prompt(1, Point((24, 22, 23)))
    assert session.objects[1].results[23] is not kept


def test_accepting_can_be_undone(session):
    list(session.propagate())
    session.accept_slice(1, 23)
    list(session.propagate())
    session.undo()
    session.undo()
    assert 23 not in session.objects[1].accepted
    assert 23 not in session.objects[1].anchors


def test_a_finished_object_is_left_out_of_propagation(session):
    session.add_prompt(2, box_on(INSIDE, 2, 21))
    session.finish_object(2)
    assert {r.object_id for r in session.propagate()} == {1}
    with pytest.raises(UserInputError, match="finished"):
        list(session.propagate([2]))


def test_a_click_in_the_middle_of_a_run_is_not_overwritten_by_it(session):
    run = session.propagate()
    next(run)
    answered = session.add_prompt(1, Point((24, 22, 25)))
    for _ in run:
        pass
    assert session.objects[1].results[25] is answered
    session.undo()
    assert session.objects[1].results[25] is answered
    session.undo()
    assert 25 not in session.objects[1].results


def test_another_model_takes_over_from_the_masks(session):
    list(session.propagate())
    before = session.label_map()
    session.model = ClassicalModel()
    assert np.array_equal(session.label_map(), before)
    list(session.propagate())
    assert np.array_equal(session.label_map()[..., 20], before[..., 20])


def test_a_painted_mask_is_kept_and_emptied_masks_go(session):
    mask = np.zeros(VOLUME.plane(2).shape, bool)
    mask[5:15, 5:15] = True
    session.edit_mask(1, 2, 20, SliceMask.of(mask))
    assert session.objects[1].results[20].mask.n_voxels == 100
    session.edit_mask(1, 2, 20, SliceMask.of(np.zeros_like(mask)))
    assert not session.objects[1].prompts


@pytest.mark.parametrize("overlap", ["first", "last"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_slice_is_composed_as_the_whole_map_is(axis, overlap):
    rng = np.random.default_rng(1)
    volume = Volume(np.zeros((9, 11, 7), np.int16), np.diag([-1.0, 1, 2, 1]))
    objects = [
        ObjectMasks(
            number + 1,
            across,
            {i: SliceMask.of(rng.random(volume.plane(across).shape) > 0.7) for i in range(1, volume.shape[across], 2)},
            finished=number == 1,
        )
        for number, across in enumerate((0, 1, 2, 2))
    ]
    whole = compose(volume, objects, overlap)
    plane = volume.plane(axis)
    for index in range(volume.shape[axis]):
        assert np.array_equal(compose_slice(volume, objects, axis, index, overlap), plane.take(whole, index))


def test_a_correction_spreads_only_as_far_as_it_changes_something_and_is_one_undo(session):
    list(session.propagate())
    before = dict(session.objects[1].results)
    whole = session.label_map()
    session.add_prompt(1, Point((24, 22, 24)))
    spread = list(session.spread(1, 24))
    assert spread
    assert all(result.index != 20 for result in spread)
    untouched = [i for i in before if session.objects[1].results[i] is before[i]]
    assert len(untouched) > 3
    session.undo()
    assert np.array_equal(session.label_map(), whole)


def test_a_spreading_correction_stops_at_an_accepted_slice(session):
    list(session.propagate())
    session.accept_slice(1, 26)
    before = dict(session.objects[1].results)
    session.add_prompt(1, Point((24, 22, 24)))
    assert {r.index for r in session.spread(1, 24) if r.index > 24} <= {25}
    assert session.objects[1].results[26] is before[26]
    assert session.objects[1].results[27] is before[27]
