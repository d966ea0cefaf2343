"""Sessions that fit the model to the object: what is recorded, and that it is the same again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam2.engine import fit_plan
from napari_sam2.engine.fit_plan import FitPlan
from napari_sam2.models.small.model import load_bundled
from napari_sam2.record.journal import Journal, restore
from napari_sam2.record.replay import replay
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on

PLAN = FitPlan(steps=4)
VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))


@pytest.fixture(autouse=True)
def never_sure(monkeypatch):
    monkeypatch.setattr(fit_plan, "SURE", 2.0)


@pytest.fixture(scope="module")
def model():
    return load_bundled()


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def begun(model, folder, fit=PLAN):
    session = Session(VOLUME, model, fit=fit)
    journal = Journal(session, folder)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    return session, journal


def test_a_fitted_run_and_its_correction_replay_identically(model, tmp_path):
    folder = tmp_path / "a.sam2session"
    session, journal = begun(model, folder)
    list(session.propagate())
    session.add_prompt(1, box_on(INSIDE, 2, 13))
    list(session.spread(1, 13))
    journal.close()
    lines = {line["event"]: line for line in events(folder)}
    assert lines["propagation"]["fit"] == {"steps": 4, "seed": 0}
    assert lines["correction"]["fitted"]
    assert replay(VOLUME, model, folder).identical


@pytest.mark.parametrize("after", [5, 15, 25])
def test_a_run_stopped_in_either_pass_or_in_the_fit_replays_identically(model, tmp_path, after):
    folder = tmp_path / "a.sam2session"
    session, journal = begun(model, folder)
    seen = []
    for result in session.propagate(should_stop=lambda: len(seen) >= after):
        seen.append(result)
    journal.close()
    assert events(folder)[-1]["results"] == len(seen)
    found = replay(VOLUME, model, folder)
    assert found.identical
    assert np.array_equal(found.labels, session.label_map())


def test_a_correction_after_a_crash_is_done_again_without_the_fit_that_was_lost(model, tmp_path):
    folder = tmp_path / "a.sam2session"
    session, journal = begun(model, folder)
    list(session.propagate())
    journal.close()
    resumed = Session(VOLUME, model, fit=PLAN)
    restore(resumed, folder)
    journal = Journal(resumed, folder, resumed=True)
    resumed.add_prompt(1, box_on(INSIDE, 2, 13))
    list(resumed.spread(1, 13))
    journal.close()
    correction = next(line for line in events(folder) if line["event"] == "correction")
    assert "fitted" not in correction
    again = replay(VOLUME, model, folder).session.state.fits
    assert again.model_for(2, 1, [10]) is not None


def test_a_session_without_a_fit_makes_one_pass_and_says_so(model, tmp_path):
    folder = tmp_path / "a.sam2session"
    session, journal = begun(model, folder, fit=None)
    assert all(result.final for result in session.propagate())
    journal.close()
    assert "fit" not in events(folder)[-1]
    assert replay(VOLUME, model, folder).identical


def test_slices_that_only_the_first_pass_filled_are_emptied(model):
    session = Session(VOLUME, model, fit=PLAN)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    final = {r.index for r in session.propagate() if r.final}
    filled = {i for i, r in session.objects[1].results.items() if r.mask.n_voxels}
    assert filled <= final | {10}


def test_another_window_forgets_what_was_learned(model):
    session = Session(VOLUME, model, fit=PLAN)
    session.add_prompt(1, box_on(INSIDE, 2, 10))
    list(session.propagate())
    assert session.state.fits.model_for(2, 1, [10]) is not None
    session.window = type(session.window)(0.0, 500.0, "level/width")
    assert session.state.fits.model_for(2, 1, [10]) is None
