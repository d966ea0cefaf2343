from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.prompts import MaskPrompt, Point
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from napari_sam2.terms.terminology import Term
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))


@pytest.fixture
def annotated(tmp_path: Path) -> tuple[Session, Path]:
    """Two objects, a correction, a painted slice, an acceptance, an undo, a stopped run, another window."""
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    list(session.propagate([1]))
    session.add_prompt(1, Point((15, 14, 13), positive=False))
    list(session.spread(1, 13, slices=range(6, 16)))
    session.rename(1, "ball")
    session.accept_slice(1, 8)
    session.terms = {2: Term("patch", None, (1, 2, 3))}
    painted = np.zeros((30, 28), dtype=bool)
    painted[2:6, 2:7] = True
    session.add_prompt(2, MaskPrompt(painted, 2, 10))
    session.add_prompt(2, Point((20, 20, 10)))
    session.undo()
    session.window = Window(80, 200, "level/width")
    seen = []
    for result in session.propagate([2], direction="forward", should_stop=lambda: len(seen) >= 2):
        seen.append(result)
    journal.close()
    return session, tmp_path / "a.sam2session"


def test_a_session_replayed_gives_the_same_label_map(annotated):
    session, folder = annotated
    found = replay(VOLUME, ClassicalModel(), folder)
    assert found.identical
    assert np.array_equal(found.labels, session.label_map())
    assert set(np.unique(found.labels)) == {0, 1, 2}
    assert found.session.objects[1].name == "ball"
    assert (found.session.objects[2].name, found.session.objects[2].colour) == ("patch", (1, 2, 3))
    assert found.reasons == ()


def test_a_model_that_answers_otherwise_is_found_out_and_named(annotated, monkeypatch):
    _, folder = annotated
    monkeypatch.setattr("napari_sam2.models.classical.SMOOTHING", 4.0)
    model = ClassicalModel()
    monkeypatch.setattr(model, "card", type(model.card)("other", "classical", "2"))
    found = replay(VOLUME, model, folder)
    assert not found.identical
    assert sum(found.differing.values()) == (found.labels != found.recorded).sum()
    assert "the model was classical (1) and is other (2)" in found.reasons[0]


def test_a_session_of_another_image_is_refused(annotated):
    _, folder = annotated
    other = Volume(VOLUME.voxels + 1, VOLUME.affine)
    with pytest.raises(UserInputError, match="another image"):
        replay(other, ClassicalModel(), folder)


def test_a_folder_without_a_session_is_named(tmp_path):
    with pytest.raises(UserInputError, match="holds no readable"):
        replay(VOLUME, ClassicalModel(), tmp_path)


def test_order_is_that_of_the_lines_whatever_the_clock_said(annotated):
    session, folder = annotated
    events = folder / "events.jsonl"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["t"] = f"20{40 - number:02}-01-01T00:00:00.000Z"
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert np.array_equal(replay(VOLUME, ClassicalModel(), folder).labels, session.label_map())


def test_a_change_of_model_is_done_again_or_named(tmp_path, monkeypatch):
    """One model smooths more than the other: the right one must answer on both sides of the change."""

    class Smooth(ClassicalModel):
        def __init__(self):
            super().__init__()
            self.card = replace(self.card, name="smooth")

        def decode(self, requests):
            with monkeypatch.context() as context:
                context.setattr("napari_sam2.models.classical.SMOOTHING", 4.0)
                return super().decode(requests)

    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a")
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    session.model = Smooth()
    session.add_prompt(2, box_on(INSIDE, 2, 10))
    list(session.propagate())
    session.model = ClassicalModel()
    session.add_prompt(3, box_on(INSIDE, 2, 11))
    journal.close()
    by_name = {"classical": ClassicalModel, "smooth": Smooth}
    found = replay(VOLUME, ClassicalModel(), tmp_path / "a", lambda described: by_name[described["name"]]())
    assert found.identical
    assert found.reasons == ()
    assert np.array_equal(found.labels, session.label_map())
    without = replay(VOLUME, ClassicalModel(), tmp_path / "a")
    assert not without.identical
    assert "the model was changed to smooth during the session, which was not done again" in without.reasons


def _two_boxes(model, folder):
    """A box answered and carried, in a journal."""
    rng = np.random.default_rng(0)
    noisy = Volume(VOLUME.voxels + rng.normal(0, 40, VOLUME.shape).astype(np.float32), VOLUME.affine, VOLUME.oriented)
    session = Session(noisy, model, fit=None)
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    list(session.propagate([1], slices=range(8, 13)))
    return session, journal, noisy


@pytest.mark.parametrize("revision", ["small-1", "small-1+box"])
def test_boxes_are_answered_again_as_the_model_answered_them_then(tmp_path, revision):
    now = load_bundled()
    then = now.at_revision(revision)
    folder = tmp_path / "a.sam2session"
    session, journal, noisy = _two_boxes(then, folder)
    journal.close()
    before = session.label_map()
    assert not np.array_equal(before, _two_boxes(now, tmp_path / "b.sam2session")[0].label_map())
    again = replay(noisy, now, folder)
    assert again.identical
    assert np.array_equal(again.labels, before)
    assert again.reasons == ()


def test_a_session_that_went_on_with_a_later_revision_is_replayed_with_both(tmp_path):
    now = load_bundled()
    folder = tmp_path / "a.sam2session"
    _, journal, noisy = _two_boxes(now.at_revision("small-1"), folder)
    journal.close()
    resumed = Session(noisy, now, fit=None)
    journal = Journal.resume(resumed, folder)
    resumed.add_prompt(2, box_on(INSIDE, 2, 9))
    journal.close()
    again = replay(noisy, now, folder, lambda described: now)
    assert again.identical
    assert again.session.model.card.revision == now.card.revision
