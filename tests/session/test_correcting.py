"""A click on an object that was carried through slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine.correction import BY_PERCEPTRON, correct, correct_widely
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.session import correcting, prompting
from napari_sam2.session.correcting import correct_object
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on, dice
from tests.tiny_sam2 import tiny_model

VOLUME, INSIDE = ball()


def carried(model) -> Session:
    """An object whose masks are as a run left them: right, but for a leak on six slices and a lost corner."""
    session = Session(VOLUME, model)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    plane = VOLUME.plane(2)
    wrong = INSIDE.copy()
    wrong[33:41, 18:26, 14:20] = True
    wrong[10:18, 14:30, 22:28] = False
    record = session.state.store.objects[1]
    example = record.results[20]
    for index in range(12, 29):
        mask = SliceMask.of(plane.take(wrong, index).copy())
        record.results[index] = replace(example, index=index, mask=mask, prompted=index == 20)
    return session


def masks(session: Session) -> np.ndarray:
    return session.label_map() == 1


@pytest.mark.parametrize("model", [ClassicalModel, tiny_model], ids=["classical", "sam2"])
def test_an_exclude_click_trims_a_leak_and_empties_no_slice(model):
    session = carried(model())
    before = masks(session)
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    assert list(session.spread(1, 16)) == []
    after = masks(session)
    assert not after[37, 22, 16]
    assert dice(after, INSIDE) > dice(before, INSIDE)
    assert not (after & ~before).any()
    assert (after & INSIDE).sum() > 0.97 * (before & INSIDE).sum()
    assert np.array_equal(after.any((0, 1)), before.any((0, 1)))


@pytest.mark.parametrize("model", [ClassicalModel, tiny_model], ids=["classical", "sam2"])
def test_an_include_click_brings_back_what_is_connected_on_all_slices(model):
    session = carried(model())
    before = masks(session)
    session.add_prompt(1, Point((15, 22, 24)))
    after = masks(session)
    assert after[15, 22, 24]
    assert not (before & ~after).any()
    gained = (after & ~before).any((0, 1)).nonzero()[0]
    assert len(gained) >= 3, "the slices beside the click change as well"
    assert dice(after, INSIDE) > dice(before, INSIDE)


def test_accepted_slices_and_other_clicks_stay_and_one_undo_takes_all_back():
    session = carried(ClassicalModel())
    session.accept_slice(1, 17)
    before = masks(session)
    session.add_prompt(1, Point((36, 20, 15)))
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    after = masks(session)
    assert np.array_equal(after[:, :, 17], before[:, :, 17])
    assert after[36, 20, 15]
    assert not np.array_equal(after[:, :, 15], before[:, :, 15])
    session.undo()
    assert np.array_equal(masks(session), before)


def test_an_include_click_beside_a_box_gains_nothing_outside_the_box_on_its_slice():
    session = carried(ClassicalModel())
    box = box_on(INSIDE, 2, 20)
    session.add_prompt(1, Point((38, 22, 21)))
    gained = masks(session)[:, :, 20] & ~INSIDE[:, :, 20]
    outside = np.ones(gained.shape, dtype=bool)
    outside[box.low[0] : box.high[0] + 1, box.low[1] : box.high[1] + 1] = False
    assert not (gained & outside & ~masks(carried(ClassicalModel()))[:, :, 20]).any()


def test_corrections_are_replayed_identically(tmp_path: Path):
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, tmp_path / "a.sam2session")
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    session.add_prompt(1, Point((14, 22, 24), positive=False))
    list(session.spread(1, 24))
    session.add_prompt(1, Point((38, 22, 17)))
    session.undo()
    session.add_prompt(1, Point((37, 20, 18)))
    journal.close()
    assert replay(VOLUME, ClassicalModel(), tmp_path / "a.sam2session").identical


def test_a_journal_from_before_the_network_is_replayed_with_what_answered_then(tmp_path: Path, monkeypatch):
    folder = tmp_path / "a.sam2session"
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    monkeypatch.setattr(
        prompting, "correct_object", lambda *state_and_clicks: correct_object(*state_and_clicks[:4], BY_PERCEPTRON)
    )
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    session.add_prompt(1, Point((24, 30, 24), positive=False))
    session.add_prompt(1, Point((14, 22, 24), positive=False))
    journal.close()
    monkeypatch.undo()
    events = folder / "events.jsonl"
    now = events.read_text(encoding="utf-8")
    assert now.count('"around":"correction-3"') == 3
    assert not replay(VOLUME, ClassicalModel(), folder).identical, "the two must differ for this to say anything"
    events.write_text(now.replace('"around":"correction-3"', '"around":true'), encoding="utf-8")
    assert replay(VOLUME, ClassicalModel(), folder).identical
    events.write_text(now.replace("correction-3", "correction-9"), encoding="utf-8")
    with pytest.raises(UserInputError, match="correction-9"):
        replay(VOLUME, ClassicalModel(), folder)


def test_an_exclude_click_that_would_take_most_of_an_object_stays_near(monkeypatch):
    asked = []

    def careful(*scene_and_click, **how):
        asked.append(how.get("reach"))
        return correct(*scene_and_click, **how)

    def wide(*scene_and_click):
        asked.append(None)
        return correct_widely(*scene_and_click)

    monkeypatch.setattr(correcting, "correct", careful)
    monkeypatch.setattr(correcting, "correct_widely", wide)
    session = carried(ClassicalModel())
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    assert asked == [None], "a leak is trimmed at once"
    monkeypatch.setattr(correcting, "MOST_REMOVED", 0.0)
    before = masks(session)
    i, j, k = (int(v) for v in np.argwhere(before)[0])
    session.add_prompt(1, Point((i, j, k), positive=False))
    assert asked[1:] == [None, correcting.CAREFUL_REACH]
    assert masks(session).sum() > 0.9 * before.sum()
