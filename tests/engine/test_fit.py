"""Runs with models that are fitted on the way: what comes, in which order, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.window import choose_window
from napari_sam2.engine import fit_plan
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.fit import propagate_fitted
from napari_sam2.engine.fit_plan import FitPlan, ObjectFits, count_fitted_slices
from napari_sam2.engine.propagate import propagate
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled, load_small
from napari_sam2.models.small.net import NetConfig, SmallNet
from napari_sam2.models.small.weights import write_weights
from tests.phantoms import ball, box_on

VOLUME, INSIDE = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))
PLAN = FitPlan(steps=4)


@pytest.fixture(autouse=True)
def never_sure(monkeypatch):
    monkeypatch.setattr(fit_plan, "SURE", 2.0)


@pytest.fixture(scope="module")
def model():
    return load_bundled()


def started(model, index=10):
    engine = Engine(VOLUME, model, choose_window(VOLUME), 2)
    return engine, engine.predict(index, SlicePrompts.of([box_on(INSIDE, 2, index)], VOLUME, 2)[index])


def test_a_first_pass_is_shown_at_once_and_the_fitted_one_is_final(model):
    engine, anchor = started(model)
    plain = list(propagate(engine, {1: [anchor]}))
    results = list(propagate_fitted(engine, {1: [anchor]}, ObjectFits(), PLAN))
    shown = [r for r in results if not r.final]
    final = [r for r in results if r.final]
    assert results.index(final[0]) == len(shown)
    assert [r.index for r in shown[: len(plain)]] == [r.index for r in plain]
    assert all(one.mask.same_as(two.mask) for one, two in zip(plain, shown, strict=False))
    assert len({r.index for r in final}) == len(final)
    assert len(results) <= count_fitted_slices(engine, {1: [anchor]}, ObjectFits(), PLAN)
    inside = sum(int(r.mask.full(engine.plane.shape).sum()) for r in final) + anchor.mask.n_voxels
    assert inside == pytest.approx(INSIDE.sum(), rel=0.15)


def test_what_was_learned_is_used_again_until_a_mask_changes(model):
    engine, anchor = started(model)
    fits = ObjectFits()
    first = [r for r in propagate_fitted(engine, {1: [anchor]}, fits, PLAN) if r.final]
    again = list(propagate_fitted(engine, {1: [anchor]}, fits, PLAN))
    assert all(r.final for r in again)
    assert all(one.mask.same_as(two.mask) for one, two in zip(first, again, strict=True))
    other = started(model, 8)[1]
    assert not next(propagate_fitted(engine, {1: [anchor, other]}, fits, PLAN)).final
    fits.clear()
    assert not next(propagate_fitted(engine, {1: [anchor]}, fits, PLAN)).final


def test_a_fit_is_forgotten_when_the_slice_that_taught_it_is_no_longer_a_persons(model):
    engine, anchor = started(model)
    fits = ObjectFits()
    list(propagate_fitted(engine, {1: [anchor]}, fits, PLAN))
    assert fits.model_for(2, 1, [10, 12]) is not None
    assert fits.model_for(2, 1, [12]) is None
    assert fits.model_for(1, 1, [10]) is None
    assert fits.model_for(2, 2, [10]) is None


def test_a_run_can_be_stopped_in_the_middle_of_a_fit(model):
    engine, anchor = started(model)
    fits, seen = ObjectFits(), []
    n_plain = len(list(propagate(engine, {1: [anchor]})))
    plan = FitPlan(steps=40)
    for result in propagate_fitted(engine, {1: [anchor]}, fits, plan, should_stop=lambda: len(seen) >= n_plain + 2):
        seen.append(result)
    assert len(seen) == n_plain + 2
    assert not any(r.final for r in seen)
    assert fits.model_for(2, 1, [10]) is None


def test_a_model_that_cannot_be_fitted_runs_as_ever():
    engine, anchor = started(ClassicalModel())
    plain = list(propagate(engine, {1: [anchor]}))
    fitted = list(propagate_fitted(engine, {1: [anchor]}, ObjectFits(), PLAN))
    assert [(r.index, r.final) for r in fitted] == [(r.index, True) for r in plain]
    assert all(one.mask.same_as(two.mask) for one, two in zip(plain, fitted, strict=True))


def test_a_short_run_is_over_before_a_fit_would_pay(model):
    engine, anchor = started(model)
    run = propagate_fitted(engine, {1: [anchor]}, ObjectFits(), PLAN, slices=range(9, 12))
    assert [(r.index, r.final) for r in run] == [(11, True), (9, True)]


def test_each_object_is_answered_by_its_own_model(tmp_path):
    """Two networks with other weights, and sweeps of both objects side by side."""
    paths = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = NetConfig(widths=(8, 16, 16, 24), heads=2)
        paths.append(tmp_path / f"{seed}.safetensors")
        write_weights(paths[-1], SmallNet(config).state_dict(), config, 32, "tiny")
    base, other = (load_small(path) for path in paths)
    engine, anchor = started(base)
    alone = {
        o: list(propagate(engine, {o: [anchor]}, slices=range(8, 13), models=m)) for o, m in ((1, {}), (2, {2: other}))
    }
    together = list(propagate(engine, {1: [anchor], 2: [anchor]}, slices=range(8, 13), models={2: other}))
    for object_id, results in alone.items():
        mine = [r for r in together if r.object_id == object_id]
        assert [r.index for r in mine] == [r.index for r in results]
        scores = [[r.scores.object_score for r in part] for part in (mine, results)]
        assert np.allclose(*scores, atol=1e-4)
    first = [r.scores.object_score for o in (1, 2) for r in alone[o][:1]]
    assert abs(first[0] - first[1]) > 1e-3


def test_a_first_pass_of_which_the_model_is_sure_stands_without_a_fit(model, monkeypatch):
    monkeypatch.setattr(fit_plan, "SURE", 0.0)
    engine, anchor = started(model)
    fits = ObjectFits()
    plain = list(propagate(engine, {1: [anchor]}))
    results = list(propagate_fitted(engine, {1: [anchor]}, fits, PLAN))
    assert len(results) == 2 * len(plain)
    final = {r.index: r for r in results if r.final}
    assert final.keys() == {r.index for r in plain}
    assert all(final[r.index].mask.same_as(r.mask) for r in plain)
    assert fits.known(2, 1) is None


def test_a_stop_in_the_first_pass_ends_the_run_whatever_the_model_thinks(model, monkeypatch):
    monkeypatch.setattr(fit_plan, "SURE", 0.0)
    engine, anchor = started(model)
    asked = iter([False] * 3 + [True] * 100)
    results = list(propagate_fitted(engine, {1: [anchor]}, ObjectFits(), PLAN, should_stop=lambda: next(asked)))
    assert results
    assert not any(r.final for r in results)
