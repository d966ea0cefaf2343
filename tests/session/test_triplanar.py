from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.core.prompts import MaskPrompt, Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.core.volume import Volume
from napari_sam2.errors import UserInputError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.measures.metrics import dice
from napari_sam2.models import load_model
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.replay import replay
from napari_sam2.sample_data import sample
from napari_sam2.session.session import Session
from napari_sam2.session.triplanar import TriplanarCheck, Visited, accept_consensus, check_object, check_steps
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball()


@pytest.fixture
def propagated():
    session = Session(VOLUME, ClassicalModel())
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    return session


def spoil(session, index, extra):
    """Put something wrong into a slice that was propagated to, as a run that leaked would."""
    result = session.objects[1].results[index]
    plane = session.volume.plane(2)
    mask = result.mask.full(plane.shape)
    mask[extra] = True
    session.state.store.objects[1].results[index] = replace(result, mask=SliceMask.of(mask))


def test_axes_agree_on_a_body_that_is_easy(propagated):
    before = propagated.label_map()
    check = check_object(propagated, 1)
    assert np.array_equal(propagated.label_map(), before)
    assert check.votes.dtype == np.uint8
    assert set(np.unique(check.votes)) <= {0, 1, 2, 3}
    assert sorted(check.dice) == [(0, 1), (0, 2), (1, 2)]
    assert min(check.dice.values()) > 0.85
    assert dice(check.votes >= 2, INSIDE) > 0.9
    assert min(v for i, v in check.agreement().items() if abs(i - 20) < 4) > 0.75


def test_votes_are_those_of_the_three_axes_and_the_consensus_is_their_majority(propagated):
    check = check_object(propagated, 1)
    plane = VOLUME.plane(2)
    whole = np.zeros(VOLUME.shape, bool)
    for index, mask in check.consensus.items():
        plane.take(whole, index)[...] = mask.full(plane.shape)
    assert np.array_equal(whole, check.votes >= 2)
    own = propagated.label_map() == 1
    assert not (check.votes[own] == 0).any()
    assert not (check.votes[~own] == 3).any()


def test_a_leak_on_one_axis_is_outvoted_and_pointed_at(propagated):
    spoil(propagated, 24, np.s_[30:42, 2:12])
    check = check_object(propagated, 1)
    agreement = check.agreement()
    assert agreement[24] < min(agreement[i] for i in (19, 20, 21))
    wrong = propagated.label_map() == 1
    assert accept_consensus(propagated, check) > 0
    mended = propagated.label_map() == 1
    assert dice(mended[:, :, 24], INSIDE[:, :, 24]) > dice(wrong[:, :, 24], INSIDE[:, :, 24])
    propagated.undo()
    assert np.array_equal(propagated.label_map() == 1, wrong)
    propagated.redo()
    assert np.array_equal(propagated.label_map() == 1, mended)


def test_what_a_person_prompted_or_accepted_stays(propagated):
    spoil(propagated, 24, np.s_[30:42, 2:12])
    propagated.accept_slice(1, 24)
    before = propagated.objects[1].results[24]
    check = check_object(propagated, 1)
    assert set(np.unique(check.votes[:, :, 24])) == {0, 3}
    assert set(np.unique(check.votes[:, :, 20])) == {0, 3}
    accept_consensus(propagated, check)
    assert propagated.objects[1].results[24] is before
    assert propagated.objects[1].results[20].prompted


def test_an_object_that_was_only_prompted_is_carried_for_the_check(propagated):
    alone = Session(VOLUME, ClassicalModel())
    alone.add_prompt(1, box_on(INSIDE, 2, 20))
    check = check_object(alone, 1)
    assert np.array_equal(check.votes, check_object(propagated, 1).votes)
    assert len(alone.objects[1].results) == 1
    assert accept_consensus(alone, check) > 8
    assert dice(alone.label_map() == 1, INSIDE) > 0.9


def test_a_check_is_not_taken_when_the_object_has_changed_or_is_finished(propagated):
    check = check_object(propagated, 1)
    propagated.finish_object(1)
    with pytest.raises(UserInputError, match="finished"):
        accept_consensus(propagated, check)
    propagated.reopen_object(1)
    propagated.add_prompt(1, Point((24, 22, 25)))
    with pytest.raises(UserInputError, match="changed since"):
        accept_consensus(propagated, check)
    propagated.remove_object(1)
    with pytest.raises(UserInputError, match="changed since"):
        accept_consensus(propagated, check)


def test_a_stopped_check_has_no_result(propagated):
    seen = []
    for piece in check_steps(propagated, 1, lambda: len(seen) >= 3):
        seen.append(piece)
    assert all(isinstance(piece, Visited) for piece in seen)
    *steps, last = check_steps(propagated, 1)
    assert isinstance(last, TriplanarCheck)
    assert {step.axis for step in steps} == {0, 1}


def test_nothing_to_check_is_explained():
    session = Session(VOLUME, ClassicalModel())
    with pytest.raises(UserInputError, match="no mask"):
        check_object(session, 1)
    picture = Session(Volume(VOLUME.voxels[:, :, :1], VOLUME.affine), ClassicalModel())
    mask = np.ones((48, 44), bool)
    picture.add_prompt(1, MaskPrompt(mask, 2, 0))
    with pytest.raises(UserInputError, match="single slice"):
        check_object(picture, 1)


def test_a_consensus_is_resumed_from_the_journal_and_replayed(tmp_path, propagated):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    assert accept_consensus(session, check_object(session, 1)) > 0
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, tmp_path / "a.sam2session")
    assert np.array_equal(again.label_map(), session.label_map())
    assert replay(VOLUME, ClassicalModel(), tmp_path / "a.sam2session").identical


def test_a_real_scan_with_the_bundled_model():
    path, labels, names = sample("ct_abdomen")
    volume = read_volume(path)
    truth = read_labels(labels, volume) == next(i for i, name in names.items() if name == "liver")
    session = Session(volume, load_model("bundled", "cpu"))
    session.add_prompt(1, box_on(truth, 2, int(truth.sum((0, 1)).argmax())))
    list(session.propagate())
    check = check_object(session, 1)
    assert all(0.3 < value <= 1 for value in check.dice.values())
    assert dice(check.votes >= 2, truth) > 0.5
