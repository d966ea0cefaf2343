"""Every session on an image is kept, listed, and can be gone on with."""

from __future__ import annotations

import pytest

from napari_sam2.core.volume import Volume
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.plugin.control.autosave import VOLUMES, Autosave
from napari_sam2.record.journal_files import EVENTS
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("NAPARI_SAM2_SESSIONS", raising=False)
    return tmp_path / "sessions"


def work(folder, name, volume=VOLUME):
    """A session with one object, closed again."""
    session = Session(volume, ClassicalModel())
    autosave = Autosave(session, VOLUMES, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    session.rename(1, name)
    autosave.close()


def test_every_earlier_session_is_listed_and_can_be_opened_also_after_some_work(folder):
    for name in ("first", "second", "third"):
        work(folder, name)
    work(folder, "other scan", Volume(VOLUME.voxels + 1, VOLUME.affine))
    session = Session(VOLUME, ClassicalModel())
    autosave = Autosave(session, VOLUMES, folder)
    assert [note.n_actions for note in autosave.sessions()] == [2, 2, 2]
    assert autosave.earlier == autosave.sessions()[0]
    # One click takes nothing away: what is there now is kept as well, and the earlier ones can still be opened.
    session.add_prompt(4, box_on(INSIDE, 2, 11))
    mine = autosave.folder
    oldest = autosave.sessions()[-1]
    autosave.resume(session, oldest)
    assert [obj.name for obj in session.objects.values()] == ["first"]
    assert autosave.folder == oldest.folder
    assert mine in [note.folder for note in autosave.sessions()]
    session.rename(1, "first, gone on with")
    autosave.close()
    assert len(autosave.sessions()) == 4
    newest = autosave.sessions()[0]
    assert newest.folder == oldest.folder
    autosave.resume(session, next(note for note in autosave.sessions() if note.folder == mine))
    assert list(session.objects) == [4]
    autosave.close()


def test_a_session_that_cannot_be_opened_leaves_everything_as_it_is(folder):
    work(folder, "damaged")
    session = Session(VOLUME, ClassicalModel())
    autosave = Autosave(session, VOLUMES, folder)
    note = autosave.earlier
    events = note.folder / EVENTS
    events.write_bytes(b"garbage\n" + events.read_bytes())
    session.add_prompt(4, box_on(INSIDE, 2, 11))
    with pytest.raises(UserInputError, match="line 1 cannot be read"):
        autosave.resume(session, note)
    assert list(session.objects) == [4]
    session.rename(4, "goes on")
    autosave.close()
    again = Session(VOLUME, ClassicalModel())
    other = Autosave(again, VOLUMES, folder)
    other.resume(again, next(n for n in other.sessions() if n.folder != note.folder))
    assert again.objects[4].name == "goes on"
    other.close()


def test_a_session_that_is_open_is_neither_listed_nor_opened_twice(folder):
    first = Session(VOLUME, ClassicalModel())
    autosave = Autosave(first, VOLUMES, folder)
    first.add_prompt(1, box_on(INSIDE, 2, 10))
    second = Session(VOLUME, ClassicalModel())
    other = Autosave(second, VOLUMES, folder)
    assert other.sessions() == []
    with pytest.raises(UserInputError, match="no earlier session"):
        other.resume(second)
    autosave.close()
    (note,) = other.sessions()
    assert note.folder == autosave.folder
    other.close()
