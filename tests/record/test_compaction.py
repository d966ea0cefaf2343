"""A journal that has outgrown its session is made smaller, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record import compaction
from napari_sam2.record.journal import Journal, look_at, restore
from napari_sam2.record.journal_files import EARLIER, EVENTS
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on
from tests.record.test_journal import same

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))


@pytest.fixture
def often(monkeypatch):
    """A snapshot after every few lines."""
    monkeypatch.setattr(compaction, "FEWEST_LINES", 7)
    monkeypatch.setattr(compaction, "SMALLEST", 1)
    monkeypatch.setattr(compaction.Compaction, "after_line", eagerly(compaction.Compaction.after_line))


def eagerly(after_line):
    def eager(self):
        self._snapshot_size = min(self._snapshot_size, 1)
        after_line(self)

    return eager


def annotate(session, n_rounds=8, done=lambda: None):
    for number in range(n_rounds):
        mask = np.zeros(VOLUME.plane(2).shape, bool)
        mask[3:9, 4 + number : 12] = True
        at = 7 + number % 6
        actions = [
            (session.add_prompt, 1, box_on(INSIDE, 2, 10)) if number == 0 else (session.rename, 1, f"round {number}"),
            (lambda: list(session.propagate([1], slices=range(6, 15))),),
            (session.add_prompt, 1, Point((15, 14, at))),
            (lambda at: list(session.spread(1, at)), at),
            (session.edit_mask, 2, 2, 5 + number % 3, SliceMask.of(mask)),
            (session.accept_slice, 1, 16 + number % 2) if number % 3 else (session.remove_object, 2),
            (session.undo,),
            (session.undo,),
            (session.redo,),
        ]
        for verb, *given in actions:
            verb(*given)
            done()


def test_a_compacted_session_is_the_same_with_its_undo_and_redo(tmp_path, often):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a")
    annotate(session)
    journal.close()
    lines = (tmp_path / "a" / EVENTS).read_text().splitlines()
    assert json.loads(lines[0])["event"] == "snapshot"
    assert len(lines) < 10
    again = Session(VOLUME, ClassicalModel())
    restore(again, tmp_path / "a")
    assert same(session, again)
    for _ in range(2):
        while session.undo():
            assert again.undo()
            assert same(session, again)
        assert not again.undo()
        while session.redo():
            assert again.redo()
        assert same(session, again)


def test_a_compacted_session_is_replayed_and_listed_as_before(tmp_path, often):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a")
    annotate(session)
    n_lines = 0
    for name in (EARLIER, EVENTS):
        n_lines += len((tmp_path / "a" / name).read_text().splitlines())
    journal.close()
    note = look_at(tmp_path / "a")
    assert note.n_actions == n_lines - 1
    assert note.n_objects == len(session.objects)
    assert replay(VOLUME, ClassicalModel(), tmp_path / "a").identical
    (tmp_path / "a" / EARLIER).unlink()
    with pytest.raises(UserInputError, match="lacks"):
        replay(VOLUME, ClassicalModel(), tmp_path / "a")


def test_a_resumed_session_goes_on_being_compacted(tmp_path, often):
    first = Session(VOLUME, ClassicalModel())
    journal = Journal(first, tmp_path / "a")
    annotate(first, 3)
    journal.close()
    second = Session(VOLUME, ClassicalModel())
    journal = Journal.resume(second, tmp_path / "a")
    annotate(second, 3)
    journal.close()
    third = Session(VOLUME, ClassicalModel())
    restore(third, tmp_path / "a")
    assert same(second, third)


def test_what_a_kill_leaves_at_any_moment_holds_all_but_the_action_in_flight(tmp_path, often, monkeypatch):
    """The folder is copied wherever something reaches the disk: this is what a kill would leave there."""
    copies = []
    told = []

    def copied(call):
        def wrapped(*given, **named):
            for when in (lambda: call(*given, **named), lambda: None):
                if (tmp_path / "a").is_dir():
                    copies.append((tmp_path / f"copy {len(copies)}", len(told)))
                    shutil.copytree(tmp_path / "a", copies[-1][0])
                when()

        return wrapped

    monkeypatch.setattr(os, "fsync", copied(os.fsync))
    monkeypatch.setattr(Path, "replace", copied(Path.replace))
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a")
    annotate(session, 3, lambda: told.append((len(session.objects), session.label_map())))
    journal.close()
    n_compacted = 0
    for folder, n_told in copies:
        if not (folder / EVENTS).is_file() or b"\n" not in (folder / EVENTS).read_bytes():
            assert n_told == 0
            continue
        n_compacted += (folder / EARLIER).is_file()
        again = Session(VOLUME, ClassicalModel())
        restore(again, folder)
        states = told[max(0, n_told - 1) : n_told + 1]
        assert any(len(again.objects) == n and np.array_equal(again.label_map(), labels) for n, labels in states)
    assert n_compacted > 10


def test_a_compaction_that_was_cut_off_leaves_no_action_twice(tmp_path, often):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a")
    annotate(session, 2)
    journal.close()
    with (tmp_path / "a" / EARLIER).open("ab") as file:
        file.write(b'{"t":"2026-01-01T00:00:00Z","event":"undo"}\n' * 3)
    again = Session(VOLUME, ClassicalModel())
    journal = Journal.resume(again, tmp_path / "a")
    annotate(again, 2)
    journal.close()
    assert replay(VOLUME, ClassicalModel(), tmp_path / "a").identical
