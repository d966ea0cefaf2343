from __future__ import annotations

import re

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.core.volume import Source, Volume
from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal, look_at, restore, sessions_of, volume_key
from napari_sam2.session.session import Session
from napari_sam2.terms.terminology import Code, Term, find_code
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "work.sam2session"


def annotate(session):
    """Something of everything, with undo in between."""
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    session.add_prompt(1, Point((24.25, 22, 20), positive=True))
    for _ in session.propagate():
        pass
    session.accept_slice(1, 22)
    session.rename(1, 'ball "one"')
    session.describe(1, Term("ball", Code("1234", "Ball", "abnormal", "99LOCAL"), (10, 20, 30)))
    session.terms = {3: Term("box", Code("5", "Box", "structure"))}
    session.add_prompt(2, Point((5, 5, 8)))
    session.undo()
    session.undo()
    session.redo()
    mask = np.zeros(session.volume.plane(2).shape, bool)
    mask[3:9, 4:12] = True
    session.edit_mask(3, 2, 5, SliceMask.of(mask))
    session.window = Window(0.0, 300.0, "level/width")
    session.overlap = "last"
    session.finish_object(3)


def same(first: Session, second: Session) -> bool:
    a, b = first.snapshot(), second.snapshot()
    assert list(a.objects) == list(b.objects)
    assert (a.window, a.overlap, a.undo, a.redo) == (b.window, b.overlap, b.undo, b.redo)
    for one, two in zip(a.objects.values(), b.objects.values(), strict=True):
        assert (one.name, one.axis, one.accepted, one.finished) == (two.name, two.axis, two.accepted, two.finished)
        assert (one.code, one.colour) == (two.code, two.colour)
        assert one.slices.keys() == two.slices.keys()
        assert all(one.slices[i].mask.same_as(two.slices[i].mask) for i in one.slices)
        assert repr([one.slices[i].scores for i in one.slices]) == repr([two.slices[i].scores for i in one.slices])
        assert len(one.prompts) == len(two.prompts)
    return np.array_equal(first.label_map(), second.label_map())


def test_reading_the_lines_again_gives_the_same_session_without_the_model(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    annotate(session)
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    assert same(session, again)


def test_codes_are_written_in_plain_sight(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.terms = {1: Term("liver", find_code("liver"))}
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    session.describe(1, Term("spleen", find_code("spleen")))
    session.rename(1, "spleen remnant")
    assert session.objects[1].code is None
    session.undo()
    assert session.objects[1].code.value == "78961009"
    journal.close()
    written = (folder / "events.jsonl").read_text().splitlines()
    assert ["10200004" in line for line in written] == [True, False, False, False]
    assert ["78961009" in line for line in written] == [False, True, False, False]


def test_undo_and_further_work_go_on_after_a_resume(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    resumed = Journal(again, folder, resumed=True)
    again.add_prompt(1, Point((24, 22, 24)))
    assert again.objects[1].results[24].prompted
    list(again.propagate())
    for _ in range(4):
        again.undo()
    assert not again.label_map().any()
    resumed.close()
    third = Session(VOLUME, ClassicalModel())
    restore(third, folder)
    assert same(again, third)


@pytest.mark.parametrize("lost", [1, 10, 200])
def test_a_line_torn_by_a_crash_is_left_out_and_cut_off(folder, lost):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    session.add_prompt(1, Point((24, 22, 20)))
    journal.close()
    events = folder / "events.jsonl"
    events.write_bytes(events.read_bytes()[:-lost])
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    assert len(again.objects[1].prompts) == 1
    resumed = Journal(again, folder, resumed=True)
    again.rename(1, "ball")
    resumed.close()
    assert len(events.read_text().splitlines()) == 2
    third = Session(VOLUME, ClassicalModel())
    restore(third, folder)
    assert same(again, third)


def test_an_earlier_journal_is_kept_under_its_date_and_not_overwritten(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    journal.close()
    assert look_at(folder).n_objects == 1
    fresh = Session(VOLUME, ClassicalModel())
    other = Journal(fresh, folder)
    fresh.add_prompt(5, box_on(INSIDE, 2, 21))
    other.close()
    assert '"object":5' in (folder / "events.jsonl").read_text()
    now, earlier = sessions_of(folder.parent)
    assert now.folder == folder
    assert re.fullmatch(r"work-\d{4}-\d\d-\d\d-\d{6}\.sam2session", earlier.folder.name)
    assert earlier.n_objects == earlier.n_actions == 1
    assert earlier.key == volume_key(VOLUME)


def test_two_windows_on_one_scan_write_two_journals(folder):
    first, second = (Session(VOLUME, ClassicalModel()) for _ in range(2))
    one, two = Journal(first, folder), Journal(second, folder)
    first.add_prompt(1, box_on(INSIDE, 2, 20))
    assert look_at(folder) is None
    second.add_prompt(1, box_on(INSIDE, 2, 21))
    assert one.folder != two.folder
    one.close()
    two.close()
    assert look_at(one.folder).n_actions == look_at(two.folder).n_actions == 1


def test_a_full_disk_stops_no_work_and_all_of_it_comes_back(folder, full_disk):
    told = []
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder, warn=told.append)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    full_disk((folder / "events.jsonl").stat().st_size + 50)
    for number in range(12):
        session.add_prompt(2 + number, box_on(INSIDE, 2, 20))
    assert len(session.objects) == 13
    assert len(told) == 1
    full_disk(None)
    for number in range(10):
        session.add_prompt(50 + number, box_on(INSIDE, 2, 20))
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    assert len(again.objects) == 23
    assert same(session, again)


def test_a_name_set_on_an_object_is_an_action_like_any_other(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    session.objects[1].name = "liver"
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    assert again.objects[1].name == "liver"
    assert session.undo() == "name"
    assert session.objects[1].name == ""
    for attribute in ("finished", "axis", "prompts", "results"):
        with pytest.raises(AttributeError):
            setattr(session.objects[1], attribute, None)
    with pytest.raises(TypeError):
        session.objects[1].results[20] = None
    with pytest.raises(TypeError):
        session.objects[5] = None


def test_an_object_whose_removal_is_undone_keeps_its_rank(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    session.add_prompt(2, box_on(INSIDE, 2, 20))
    before = session.label_map()
    session.remove_object(1)
    assert set(np.unique(session.label_map())) == {0, 2}
    session.undo()
    assert np.array_equal(session.label_map(), before)
    journal.close()
    again = Session(VOLUME, ClassicalModel())
    restore(again, folder)
    assert same(session, again)
    with pytest.raises(UserInputError, match="no object 7"):
        session.remove_object(7)


def test_a_journal_of_another_scan_is_refused(folder):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    journal.close()
    other = Session(Volume(VOLUME.voxels + 1, VOLUME.affine), ClassicalModel())
    with pytest.raises(UserInputError, match="another image"):
        restore(other, folder)


def test_nothing_of_the_patient_is_written(folder):
    source = Source(name="DOE_JANE_1961.nii.gz", sha256="ab" * 32, header={"descrip": "DOE^JANE"})
    session = Session(Volume(VOLUME.voxels, VOLUME.affine, source=source), ClassicalModel())
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    journal.close()
    written = "".join(path.read_text() for path in folder.iterdir())
    assert "DOE" not in written
    assert str(folder.parent) not in written


def test_numbers_of_numpy_are_written_as_pythons_own(tmp_path):
    """Ids and places of a script come from arrays."""
    volume, inside = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))
    session = Session(volume, ClassicalModel())
    journal = Journal(session, tmp_path / "numpy.sam2session")
    one, ten = np.int64(7), np.int64(10)
    session.add_prompt(one, Box(np.array(box_on(inside, 2, 10).corners)))
    session.add_prompt(one, Point(np.array([2.5, 3, 10], np.float32), np.bool_(False)))
    session.rename(one, "seven")
    session.accept_slice(one, ten)
    session.reopen_slice(one, ten)
    session.finish_object(one)
    journal.close()
    assert [type(i) for i in session.objects] == [int]
    restored = Session(volume, ClassicalModel())
    restore(restored, tmp_path / "numpy.sam2session")
    assert same(session, restored)
    assert restored.objects[7].prompts == session.objects[7].prompts
