"""Objects looked over when a run has come to its end: what may change, what is recorded, and replay."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam2.core.prompts import Point
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine import consolidation, second_opinion
from napari_sam2.engine.consolidation_evidence import CLICKED_FEATURES, FEATURES
from napari_sam2.engine.consolidation_rules import BY_BORDERS, BY_FIRST, BY_NETWORK, RULES, Rule
from napari_sam2.engine.correction_odds import BY_DOUBTED, BY_WHOLE
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.errors import UserInputError
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import BOX_READER, load_bundled
from napari_sam2.record.journal import Journal
from napari_sam2.record.replay import replay
from napari_sam2.record.save import provenance_of
from napari_sam2.session import consolidating
from napari_sam2.session import session as session_module
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))


@pytest.fixture(scope="module")
def model():
    return load_bundled()


def growing(maps):
    """Answers that add a layer all round, so that every run is changed, and another one with every click."""
    clicks = 5 * (maps[FEATURES + 3].max() + maps[FEATURES + 8].max()) if len(maps) == CLICKED_FEATURES else 0
    return maps[-1].astype(float) + 2.5 * (1 + clicks)


@pytest.fixture(autouse=True)
def grows(monkeypatch):
    monkeypatch.setattr(consolidation, "shipped", lambda by: growing)
    monkeypatch.setattr(consolidation, "RULES", {name: Rule(1.0, 2.0, 2.0) for name in RULES})
    monkeypatch.setattr(consolidation, "TOLD", Rule(1.0, 2.0, 2.0))
    monkeypatch.setattr(second_opinion, "shipped", lambda by: growing)


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def begun(model, **how):
    session = Session(VOLUME, model, fit=None, **how)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    return session


def recorded(model, folder, **how):
    session = Session(VOLUME, model, fit=None, **how)
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    return session, journal


def run(session, **how):
    list(session.propagate(**how))
    return session.label_map() == 1


def test_what_the_network_is_sure_of_changes_and_prompted_slices_stay(model):
    plain, over = run(begun(model, look_over=False)), run(begun(model))
    assert (over & ~plain).any()
    assert not (plain & ~over).any()
    assert np.array_equal(over[..., 10], plain[..., 10])


def test_slices_that_were_not_asked_for_stay(model):
    over = run(begun(model), slices=range(6, 14))
    assert over.any((0, 1)).nonzero()[0].tolist() == list(range(6, 14))
    forward, plain = run(begun(model), direction="forward"), run(begun(model, look_over=False), direction="forward")
    assert not forward[..., :10].any()
    assert (forward & ~plain).any()


def test_accepted_slices_stay_and_an_object_with_two_prompted_slices_is_not_looked_over(model):
    session = begun(model, look_over=False)
    plain = run(session)
    session.add_prompt(1, Point((15, 14, 12)))
    before = run(session)
    session.look_over = True
    assert np.array_equal(run(session), before)
    assert plain.any()


def test_other_models_are_not_looked_over():
    plain, over = run(begun(ClassicalModel(), look_over=False)), run(begun(ClassicalModel()))
    assert np.array_equal(plain, over)


def test_it_is_recorded_replayed_and_taken_back_as_one_with_the_run(model, tmp_path):
    folder = tmp_path / "a.sam2session"
    session, journal = recorded(model, folder)
    after = run(session)
    journal.close()
    assert events(folder)[-1]["looked_over"] == BY_BORDERS
    again = replay(VOLUME, model, folder)
    assert again.identical
    assert np.array_equal(again.labels == 1, after)
    session.undo()
    assert (session.label_map() == 1).any((0, 1)).nonzero()[0].tolist() == [10]


def test_the_sidecar_names_every_network_that_had_a_part(model, tmp_path):
    def named(by=model, **how):
        session = Session(VOLUME, by, **how)
        session.add_prompt(1, box_on(INSIDE, 2, 10))
        return session, lambda: provenance_of(session).helpers

    session, helpers = named(fit=FitPlan(2, 0))
    assert list(helpers()) == [BOX_READER]
    run(session)
    assert list(helpers()) == [BOX_READER, "fit, 2 steps, seed 0", BY_BORDERS]
    session.add_prompt(1, Point((15, 14, 12), positive=False))
    assert list(helpers()) == [BOX_READER, "fit, 2 steps, seed 0", BY_BORDERS, BY_DOUBTED]
    session.undo()
    session.undo()
    session.add_prompt(1, Point((15, 14, 10)))
    assert list(helpers()) == [BOX_READER], "the model answered the click, and what was taken back had no part"
    session, helpers = named(fit=None, look_over=False)
    run(session)
    assert list(helpers()) == [BOX_READER]
    session, helpers = named(fit=None, look_over=False, by=model.at_revision("small-1+box"))
    assert helpers() == {}


def test_a_journal_from_before_is_replayed_as_it_was_and_one_from_later_is_refused(model, tmp_path, monkeypatch):
    folder = tmp_path / "a.sam2session"
    session, journal = recorded(model, folder, look_over=False)
    plain = run(session)
    journal.close()
    assert "looked_over" not in events(folder)[-1]
    assert np.array_equal(replay(VOLUME, model, folder).labels == 1, plain)
    lines = folder / "events.jsonl"
    asked = []
    monkeypatch.setattr(consolidation, "shipped", lambda by: asked.append(by) or (lambda maps: maps[-1].astype(float)))
    plainly = lines.read_text()
    lines.write_text(plainly.replace('"direction":"both"', f'"direction":"both","looked_over":"{BY_FIRST}"'))
    assert np.array_equal(replay(VOLUME, model, folder).labels == 1, plain)
    assert asked == [BY_FIRST]
    lines.write_text(plainly.replace('"direction":"both"', '"direction":"both","looked_over":"x-9"'))
    with pytest.raises(UserInputError, match="x-9"):
        replay(VOLUME, model, folder)


def test_a_click_lets_the_whole_object_be_gone_over_and_that_is_replayed(model, tmp_path, monkeypatch):
    folder = tmp_path / "a.sam2session"
    session, journal = recorded(model, folder)
    run(session, slices=range(4, 16))
    session.accept_slice(1, 6)
    before = session.label_map() == 1
    click = Point((15, 14, 13))
    session.add_prompt(1, click)
    after = session.label_map() == 1
    assert events(folder)[-1]["around"] == BY_DOUBTED
    changed = (after ^ before).any((0, 1)).nonzero()[0]
    assert {5, 7} <= set(changed), "far from the click, too"
    assert not {6, 10} & set(changed), "accepted and boxed slices stay"
    assert changed.min() >= 4
    assert changed.max() < 16, "slices that no run and no click has reached stay"
    journal.close()
    assert replay(VOLUME, model, folder).identical
    session.undo()
    assert np.array_equal(session.label_map() == 1, before)
    session.look_over = False
    session.add_prompt(1, click)
    alone = session.label_map() == 1
    assert not np.array_equal(alone, after)
    assert not (alone ^ before)[..., 5].any()


@pytest.mark.parametrize("after", [3, 17, 22])
def test_a_run_stopped_before_or_in_it_replays_identically(model, tmp_path, after):
    folder = tmp_path / "a.sam2session"
    session, journal = recorded(model, folder)
    seen = []
    for result in session.propagate(should_stop=lambda: len(seen) >= after):
        seen.append(result)
    journal.close()
    again = replay(VOLUME, model, folder)
    assert again.identical
    assert np.array_equal(again.labels, session.label_map())


def test_a_journal_from_before_borders_were_asked_apart_is_replayed_as_it_was(model, tmp_path, monkeypatch):
    monkeypatch.setattr(consolidation, "shipped", lambda by: lambda maps: maps[-1].astype(float) + 2.5)
    folder = tmp_path / "a.sam2session"
    with monkeypatch.context() as then:
        then.setattr(session_module, "answers_clicks", lambda card, whole=True: BY_WHOLE)
        then.setattr(session_module, "looks_over", lambda card: BY_NETWORK)
        session, journal = recorded(model, folder)
        run(session)
        session.add_prompt(1, Point((15, 14, 13)))
        journal.close()
    assert [events(folder)[-2]["looked_over"], events(folder)[-1]["around"]] == [BY_NETWORK, BY_WHOLE]
    assert replay(VOLUME, model, folder).identical
    lines = folder / "events.jsonl"
    lines.write_text(lines.read_text().replace(f'"{BY_WHOLE}"', f'"{BY_DOUBTED}"'))
    assert not replay(VOLUME, model, folder).identical, "the two must differ for this to say anything"


def _masks(session):
    plane = VOLUME.plane(2)
    return {
        number: {i: r.mask.full(plane.shape).tobytes() for i, r in obj.results.items() if r.mask.n_voxels}
        for number, obj in session.objects.items()
    }


def _painted(session):
    mask = np.zeros(VOLUME.plane(2).shape, dtype=bool)
    mask[5:9, 5:9] = True
    session.edit_mask(1, 2, 13, SliceMask.of(mask))


@pytest.mark.parametrize(
    ("coming", "kept"),
    [
        (lambda s: s.accept_slice(1, 13), 13),
        (_painted, 13),
        (lambda s: s.add_prompt(1, Point((15, 14, 13), positive=False)), 13),
        (lambda s: s.undo(), None),
        (lambda s: s.remove_object(1), None),
    ],
    ids=["accepted", "painted", "clicked", "taken back", "removed"],
)
def test_what_comes_into_the_look_over_stays_and_is_replayed_and_taken_back(model, tmp_path, coming, kept):
    session = Session(VOLUME, model, fit=None)
    journal = Journal(session, tmp_path / "a.sam2session")
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    run, seen = session.propagate([1]), set()
    for result in run:
        if result.index in seen:
            break
        seen.add(result.index)
    else:
        pytest.fail("nothing was looked over")
    coming(session)
    before = _masks(session)
    assert list(run) or kept is None
    journal.close()
    if kept is None:
        assert 1 not in session.objects
    else:
        assert _masks(session)[1][kept] == before[1][kept]
    found = replay(VOLUME, model, tmp_path / "a.sam2session")
    assert found.identical
    assert _masks(found.session) == _masks(session)
    while session.undo():
        found.session.undo()
        assert _masks(found.session) == _masks(session)
    assert not session.objects


@pytest.mark.parametrize(("by", "trusted"), [(BY_WHOLE, True), (BY_DOUBTED, False)])
def test_a_slice_that_only_a_click_has_reached_has_no_estimate_of_the_model(model, monkeypatch, by, trusted):
    seen = []

    def noted(scene, run, corrected, **how):
        seen.append(run.trust)

    monkeypatch.setattr(consolidating, "reconsider", noted)
    monkeypatch.setattr(session_module, "answers_clicks", lambda card, whole=True: by)
    session = begun(model)
    run(session, slices=range(8, 13))
    session.add_prompt(1, Point((15, 14, 15)))
    assert set(range(8, 13)) <= set(seen[-1])
    assert (15 in seen[-1]) == trusted
