"""Actions that come into a run that goes on: restored, replayed and undone, all as it was."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from napari_sam2.core.prompts import Box, Point
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record import compaction
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.journal_files import EVENTS
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from napari_sam2.terms.terminology import Term
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(18, 16, 12), centre=(9, 8, 6), radii=(6, 5, 4))
MODEL = ClassicalModel()

COMING = {
    "outside": lambda s: s.add_prompt(1, Point((9, 4, 8), positive=False)),
    "inside": lambda s: s.add_prompt(1, Point((13, 8, 7))),
    "further away": lambda s: s.add_prompt(1, Point((9, 8, 3), positive=False)),
    "accept": lambda s: s.accept_slice(1, 7),
    "reopen": lambda s: s.reopen_slice(1, 7),
    "name": lambda s: s.rename(1, "ball"),
    "another": lambda s: s.add_prompt(2, Point((3, 3, 6))),
    "undo": lambda s: s.undo(),
    "redo": lambda s: s.redo(),
    "finish": lambda s: s.finish_object(1),
    "remove": lambda s: s.remove_object(1),
    "run of another": lambda s: list(s.propagate([2])),
    "spread": lambda s: list(s.spread(1, 8)),
}


def played(folder, schedule, stop_after=None):
    """A session in which actions come after so many results of a run; those that it refuses are left out."""
    shutil.rmtree(folder, ignore_errors=True)
    session = Session(VOLUME, MODEL)
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 6))
    run = session.propagate([1])
    for number, _ in enumerate(run, start=1):
        for name in schedule.get(number, ()):
            try:
                COMING[name](session)
            except ValueError:
                continue
        if number == stop_after:
            run.close()
            break
    journal.close()
    return session


def contents(session):
    return {
        number: (obj.name, obj.prompts, sorted(obj.accepted), obj.finished, masks_of(obj))
        for number, obj in session.objects.items()
    }


def masks_of(obj):
    plane = VOLUME.plane(obj.axis)
    return {i: r.mask.full(plane.shape).tobytes() for i, r in obj.results.items() if r.mask.n_voxels}


def check(session, folder):
    restored = Session(VOLUME, MODEL)
    restore(restored, folder)
    again = replay(VOLUME, MODEL, folder)
    assert again.identical
    assert contents(restored) == contents(session)
    assert contents(again.session) == contents(session)
    whole = contents(session)
    for undo in iter(session.undo, ""):
        taken_back = contents(session)
        session.redo()
        assert contents(session) == whole
        session.undo()
        assert contents(session) == taken_back
        whole = taken_back
        assert restored.undo() == again.session.undo() == undo
        assert contents(restored) == contents(session)
        assert contents(again.session) == contents(session)


several = st.lists(st.sampled_from(sorted(COMING)), min_size=1, max_size=2)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(1, 14), several, max_size=4), st.none() | st.integers(1, 12), st.integers(0, 3))
@example({3: ["outside"], 5: ["accept", "another"], 8: ["run of another"]}, None, 1)
@example({2: ["inside", "undo"], 4: ["redo"]}, 6, 2)
def test_whatever_comes_into_a_run_is_restored_replayed_and_undone_as_it_was(tmp_path, schedule, stop_after, cut):
    folder = tmp_path / "a.sam2session"
    check(played(folder, schedule, stop_after), folder)
    # A kill: the last lines were never written.
    lines = (folder / EVENTS).read_bytes().splitlines(keepends=True)
    (folder / EVENTS).write_bytes(b"".join(lines[: max(1, len(lines) - cut)]))
    session = Session(VOLUME, MODEL)
    Journal.resume(session, folder).close()
    check(session, folder)


def opened_with_leftovers(session):
    """Labels with slices beyond the ball, which a run empties in its end."""
    labels = np.zeros(VOLUME.shape, dtype=np.uint8)
    labels[INSIDE] = 1
    labels[:, :, [0, 1, 11]] = 1
    session.take_labels(labels, {1: Term("ball")})
    session.accept_slice(1, 6)
    return session.propagate([1])


def corrected(session):
    """A carried object whose box on another slice was answered, and not carried on yet."""
    session.add_prompt(1, box_on(INSIDE, 2, 6))
    list(session.propagate([1]))
    session.add_prompt(1, Box(((7, 6, 8), (11, 10, 8))))
    return session


def test_a_correction_that_is_carried_on_is_taken_back_with_what_asked_for_it_and_nothing_else(tmp_path):
    session, folder = Session(VOLUME, MODEL), tmp_path / "a.sam2session"
    journal = Journal(session, folder)
    corrected(session)
    session.undo()
    carried = contents(session)
    session.redo()
    session.add_prompt(2, box_on(INSIDE, 2, 3))
    assert list(session.spread(1, 8))
    carried_on = contents(session)[1]
    session.undo()
    assert contents(session) == {1: carried_on}
    session.undo()
    assert contents(session) == carried
    session.redo()
    session.redo()
    session.accept_slice(1, 7)
    assert list(session.spread(1, 8))
    session.undo()
    assert 7 in session.objects[1].accepted
    journal.close()
    check(session, folder)


def test_a_correction_that_is_taken_back_is_not_carried_on(tmp_path):
    session, folder = Session(VOLUME, MODEL), tmp_path / "a.sam2session"
    journal = Journal(session, folder)
    run = corrected(session).spread(1, 8)
    session.undo()
    carried = contents(session)
    session.redo()
    changed = next(run)
    session.undo()
    assert list(run) == []
    journal.close()
    assert session.objects[1].results[changed.index] is changed
    check(session, folder)
    restored = Session(VOLUME, MODEL)
    restore(restored, folder)
    restored.undo()
    assert contents(restored) == carried


def test_what_a_run_wrote_comes_back_with_nothing_that_came_into_it(tmp_path):
    session, folder = Session(VOLUME, MODEL), tmp_path / "a.sam2session"
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 6))
    begun = contents(session)
    for number, _ in enumerate(session.propagate([1]), start=1):
        if number == 4:
            COMING["outside"](session)
    session.undo()
    session.undo()
    assert contents(session) == begun
    journal.close()


ACROSS = Box(((9, 5, 3), (9, 11, 8)))
"""On another plane than the other boxes."""


def boxed_and_one_that_waits(session):
    session.add_prompt(1, box_on(INSIDE, 2, 6))
    session.add_prompt(1, ACROSS)
    session.add_prompt(2, box_on(INSIDE, 2, 6))
    return session.propagate([1, 2])


def boxed_without_a_slice_to_write(session):
    session.add_prompt(1, box_on(INSIDE, 2, 6))
    session.add_prompt(1, ACROSS)
    return session.propagate([1], slices=range(0, 1))


def named(session):
    session.rename(1, "ball")


def removed(session):
    session.remove_object(1)


def begun_anew(session):
    session.remove_object(1)
    session.add_prompt(1, box_on(INSIDE, 2, 5))


def begun_across(session):
    session.remove_object(1)
    session.add_prompt(1, ACROSS)


def taken_back(session):
    session.undo()
    session.undo()


def cleared(session):
    session.set_prompts(1, [])
    session.set_prompts(2, [])


@pytest.mark.parametrize(
    ("begun", "after", "coming"),
    [
        (opened_with_leftovers, 9, removed),
        (opened_with_leftovers, 10, begun_anew),
        (opened_with_leftovers, 4, begun_across),
        (opened_with_leftovers, 11, taken_back),
        (boxed_without_a_slice_to_write, 3, named),
        (boxed_and_one_that_waits, 3, cleared),
        (boxed_and_one_that_waits, 12, cleared),
    ],
)
def test_a_run_leaves_alone_what_is_not_what_it_began_with(tmp_path, begun, after, coming):
    session, folder = Session(VOLUME, MODEL), tmp_path / "a.sam2session"
    journal = Journal(session, folder)
    for number, _ in enumerate(begun(session), start=1):
        if number == after:
            coming(session)
    journal.close()
    check(session, folder)


def test_a_journal_is_not_made_smaller_in_the_middle_of_a_run(tmp_path, monkeypatch):
    """A snapshot knows no half of a run: undo took back its second half only."""
    monkeypatch.setattr(compaction, "FEWEST_LINES", 3)
    monkeypatch.setattr(compaction, "SMALLEST", 0)
    session = played(tmp_path / "a.sam2session", {3: ["outside", "name"], 6: ["another"], 9: ["accept"]})
    check(session, tmp_path / "a.sam2session")


@pytest.mark.parametrize(
    "damage",
    [
        {"paused": 0}, {"paused": -1}, {"paused": 1 << 41}, {"paused": True}, {"paused": "3"}, {"paused": None},
        {"run": 0}, {"run": 1.0}, {"run": 1 << 41}, {"run": None},
        {"paused": 3}, {"event": "correction", "objects": [1], "slice": 6}, {"event": "name", "object": 1, "name": ""},
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_is_refused_with_its_line(parts, tmp_path, damage):
    lines = (parts / EVENTS).read_bytes().splitlines(keepends=True)
    numbers = [number for number, line in enumerate(lines) if b'"paused"' in line]
    assert len(numbers) == 2
    lines[numbers[1]] = json.dumps({**json.loads(lines[numbers[1]]), **damage}).encode() + b"\n"
    damaged = tmp_path / "a.sam2session"
    shutil.copytree(parts, damaged)
    (damaged / EVENTS).write_bytes(b"".join(lines))
    with pytest.raises(UserInputError, match=rf"line {numbers[1] + 1} cannot be read"):
        restore(Session(VOLUME, MODEL), damaged)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A journal with a run of three parts."""
    folder = tmp_path_factory.mktemp("parts") / "a.sam2session"
    played(folder, {3: ["name"], 5: ["another"]}, 7)
    return folder
