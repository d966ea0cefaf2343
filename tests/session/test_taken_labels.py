"""Labels that were made elsewhere, taken over as objects."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from napari_sam2.terms.terminology import Term, find_term
from tests.phantoms import ball, box_on, dice

VOLUME, INSIDE = ball()
LIVER = Term("my liver", None, (200, 10, 20))


def _labels():
    """The ball, bitten on one side, and a cube far from it under a large id."""
    labels = np.where(INSIDE, 3, 0).astype(np.int32)
    labels[: VOLUME.shape[0] // 2 - 4][INSIDE[: VOLUME.shape[0] // 2 - 4]] = 0
    labels[:3, :3, :4] = 70000
    return labels


def test_labels_become_objects_with_names_and_colours_voxel_by_voxel():
    session = Session(VOLUME, ClassicalModel())
    assert session.take_labels(_labels(), {3: LIVER}) == [3, 70000]
    assert np.array_equal(session.label_map(), _labels())
    assert (session.objects[3].name, session.objects[3].colour) == ("my liver", (200, 10, 20))
    assert not any(result.prompted for result in session.objects[3].results.values())


def test_one_undo_takes_all_of_them_back_and_redo_brings_them_again():
    session = Session(VOLUME, ClassicalModel())
    session.take_labels(_labels())
    assert session.undo() == "opened labels"
    assert not session.objects
    session.redo()
    assert np.array_equal(session.label_map(), _labels())


def test_a_click_corrects_them_and_an_accepted_slice_carries_them():
    session = Session(VOLUME, ClassicalModel())
    session.take_labels(_labels())
    before = dice(session.label_map() == 3, INSIDE)
    i, j, k = (int(np.median(x)) for x in np.nonzero(INSIDE & (_labels() == 0)))
    session.add_prompt(3, Point((i, j, k)))
    assert dice(session.label_map() == 3, INSIDE) > before + 0.02
    session.accept_slice(3, k)
    assert [result.object_id for result in session.propagate([3], slices=range(k, k + 3))]


def test_an_id_in_use_gets_the_next_free_one():
    session = Session(VOLUME, ClassicalModel())
    session.add_object(3, "mine")
    assert session.take_labels(np.where(INSIDE, 3, 0).astype(np.uint8)) == [4]
    assert session.objects[3].name == "mine"


@pytest.mark.parametrize("labels", [np.zeros(VOLUME.shape, dtype=np.uint8), np.ones((2, 2, 2), dtype=np.uint8)])
def test_nothing_and_another_grid_are_refused(labels):
    with pytest.raises(UserInputError, match=r"shape|no label"):
        Session(VOLUME, ClassicalModel()).take_labels(labels)


def test_the_journal_brings_them_back_and_replay_is_identical(tmp_path):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    session.take_labels(_labels(), {3: find_term("liver", [Term("liver")]) or LIVER})
    session.add_prompt(3, Point(tuple(int(np.median(x)) for x in np.nonzero(INSIDE))))
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, tmp_path / "a.sam2session")
    assert np.array_equal(again.label_map(), session.label_map())
    assert again.objects[3].name == session.objects[3].name
    assert replay(VOLUME, ClassicalModel(), tmp_path / "a.sam2session").identical


def test_prompts_in_another_plane_or_that_only_exclude_destroy_nothing():
    session = Session(VOLUME, ClassicalModel())
    session.take_labels(np.where(INSIDE, 3, 0).astype(np.uint8))
    i, j, k = (int(np.median(x)) for x in np.nonzero(INSIDE))
    session.axis = 0
    near_its_border = (int(np.nonzero(INSIDE[:, j, k])[0][-2]), j, k)
    session.add_prompt(3, Point(near_its_border, positive=False))
    left = (session.label_map() == 3) & INSIDE
    assert INSIDE.sum() * 0.2 < left.sum() < INSIDE.sum()
    session.undo()
    session.add_prompt(3, box_on(INSIDE, 0, i))
    assert np.array_equal(session.label_map() == 3, INSIDE)
