"""A click on an object that was carried through slices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine import correction
from napari_sam2.engine.correction import CAREFUL_REACH, correct
from napari_sam2.engine.correction_odds import (
    BOUNDED,
    BY_BOUNDED,
    BY_MENDED,
    BY_NETWORK,
    BY_PERCEPTRON,
    ODDS,
    UNBOUNDED,
)
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

WITHOUT_SMALL = replace(BOUNDED, small=0.0)


def carried(model, leak_ends: int = 20) -> Session:
    """An object whose masks are as a run left them: right, but for a leak on six slices and a lost corner."""
    session = Session(VOLUME, model)
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    plane = VOLUME.plane(2)
    wrong = INSIDE.copy()
    wrong[33:41, 18:26, 14:leak_ends] = True
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


@pytest.mark.parametrize("by", [BY_PERCEPTRON, BY_NETWORK])
def test_a_journal_from_before_the_bound_is_replayed_with_what_answered_then(by, tmp_path: Path, monkeypatch):
    folder = tmp_path / "a.sam2session"
    session = Session(VOLUME, ClassicalModel())
    journal = Journal(session, folder)
    monkeypatch.setattr(
        prompting, "correct_object", lambda *state_and_clicks: correct_object(*state_and_clicks[:4], by)
    )
    session.add_prompt(1, box_on(INSIDE, 2, 20))
    list(session.propagate())
    session.add_prompt(1, Point((24, 30, 24), positive=False))
    session.add_prompt(1, Point((14, 22, 24), positive=False))
    session.add_prompt(1, Point((38, 22, 21)))
    journal.close()
    monkeypatch.undo()
    events = folder / "events.jsonl"
    now = events.read_text(encoding="utf-8")
    assert now.count(f'"around":"{BY_MENDED}"') == 4
    assert not replay(VOLUME, ClassicalModel(), folder).identical, "the two must differ for this to say anything"
    written = {BY_PERCEPTRON: ["true", f'"{by}"'], BY_NETWORK: [f'"{by}"']}[by]
    for name in written:
        events.write_text(now.replace(f'"around":"{BY_MENDED}"', f'"around":{name}'), encoding="utf-8")
        assert replay(VOLUME, ClassicalModel(), folder).identical
    events.write_text(now.replace(BY_MENDED, "correction-9"), encoding="utf-8")
    with pytest.raises(UserInputError, match="correction-9"):
        replay(VOLUME, ClassicalModel(), folder)


def test_an_exclude_click_takes_no_more_than_its_share_of_an_object(monkeypatch):
    """Where surer odds do not keep it within its share, the perceptron answers near the click."""
    reaches = []

    def counted(*scene_and_click, **how):
        reaches.append(how.get("reach"))
        return correct(*scene_and_click, **how)

    monkeypatch.setattr(correction, "correct", counted)
    session = carried(ClassicalModel())
    before = masks(session)
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    leak = before.sum() - masks(session).sum()
    assert reaches == [None], "a leak is trimmed at once"

    monkeypatch.setitem(correcting.ODDS, BY_MENDED, replace(BOUNDED, small=1.0, most_removed=0.0))
    session = carried(ClassicalModel())
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    assert before.sum() - masks(session).sum() >= leak, "a small change is not bounded"

    limited = replace(WITHOUT_SMALL, most_removed=0.8 * leak / before.sum())
    monkeypatch.setitem(correcting.ODDS, BY_MENDED, limited)
    session = carried(ClassicalModel())
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    assert 0 < before.sum() - masks(session).sum() <= 0.8 * leak

    monkeypatch.setitem(correcting.ODDS, BY_MENDED, replace(WITHOUT_SMALL, most_removed=0.0))
    session = carried(ClassicalModel())
    reaches.clear()
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    assert reaches == [None, CAREFUL_REACH]
    near = before & ~masks(session)
    assert 1 < near.sum() < 0.1 * before.sum()

    few = replace(WITHOUT_SMALL, sure=99.0, most_removed=0.5 * near.sum() / before.sum(), last_bounded=True)
    monkeypatch.setitem(correcting.ODDS, BY_MENDED, few)
    session = carried(ClassicalModel())
    session.add_prompt(1, Point((37, 22, 16), positive=False))
    less = before & ~masks(session)
    assert less[37, 22, 16]
    assert 0 < less.sum() <= 0.5 * near.sum(), "the last way out is bounded as well"
    assert not (less & ~near).any()
    assert not ODDS[BY_BOUNDED].last_bounded, "a journal from before is replayed as it was"
    assert ODDS[BY_NETWORK] is UNBOUNDED


def test_an_exclude_click_takes_little_of_a_boxed_slice(monkeypatch):
    lost = {}
    for share in (0.0, 1.0):
        monkeypatch.setitem(correcting.ODDS, BY_MENDED, replace(WITHOUT_SMALL, trusted=0.0, most_of_trusted=share))
        session = carried(ClassicalModel(), leak_ends=24)
        before = masks(session)
        session.add_prompt(1, Point((37, 22, 15), positive=False))
        lost[share] = (before & ~masks(session)).sum((0, 1))
    assert lost[1.0][20] > 0, "the leak goes on through the boxed slice"
    assert lost[0.0][20] == 0
    assert lost[0.0][15] > 0, "the click itself is obeyed"
