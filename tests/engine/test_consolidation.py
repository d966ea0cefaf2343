"""A carried object, looked over as a whole: what is described, what may change, and that numpy does as torch does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from napari_sam2.engine.consolidation import Consolidator, changed, consolidate, mean_trust, normed, reconsider
from napari_sam2.engine.consolidation_evidence import CLICKED_FEATURES, FEATURES, MOST_CELLS, Run, survey
from napari_sam2.engine.consolidation_rules import BY_FIRST, BY_NETWORK, RULES
from napari_sam2.engine.correction import Change
from napari_sam2.training.corrections.torch_net import CorrectionNet
from tests.phantoms import ball


@dataclass
class Carried:
    """A ball with a wrong mask on an image of its own."""

    voxels: np.ndarray
    object: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def shape(self):
        return self.object.shape

    def mask(self, window):
        return self.object[window].copy()

    def image(self, window):
        return self.voxels[window].copy()

    def run(self, known=(24,), trust=None, told=None, clicks=None):
        held = np.nonzero(self.object)
        return Run(tuple(slice(int(h.min()), int(h.max()) + 1) for h in held), known, trust or {}, told, clicks)


@pytest.fixture
def scene():
    volume, inside = ball()
    carried = inside.copy()
    carried[31:] = False  # The run ended too early on one side ...
    carried[:16, 18:24, 18:22] = True  # ... and went on too far on the other.
    return Carried((volume.voxels / 255).astype(np.float32), carried)


def always(value):
    """A network that says the same of every cell, on top of what the mask says."""
    return lambda maps: np.full(maps.shape[1:], value) + maps[-1]


def test_every_cell_is_described_and_the_last_number_is_the_mask(scene):
    seen = survey(scene, scene.run(trust={20: 0.5}))
    assert seen.maps.shape[0] == FEATURES
    assert seen.maps.shape[1:] == seen.mask.shape
    assert np.isfinite(seen.maps).all()
    assert np.array_equal(seen.maps[-1] > 0, seen.mask)
    assert np.array_equal(seen.mask, scene.object[seen.window])


def test_a_mirrored_scan_is_described_the_same(scene):
    def flipped(array):
        return np.ascontiguousarray(array[::-1, :, ::-1])

    mirrored = Carried(flipped(scene.voxels), flipped(scene.object))
    here = survey(scene, scene.run(known=(24,)))
    there = survey(mirrored, mirrored.run(known=(len(scene.object) - 25,)))
    assert np.allclose(here.maps, there.maps[:, ::-1, :, ::-1], atol=1e-4)


def test_twice_the_voxels_of_half_the_size_are_described_alike(scene):
    fine = Carried(*(a.repeat(2, 0).repeat(2, 1).repeat(2, 2) for a in (scene.voxels, scene.object)), (0.5, 0.5, 0.5))
    here, there = survey(scene, scene.run()), survey(fine, fine.run(known=(48,)))
    assert there.strides == (2, 2, 2)
    assert abs(float(here.maps.mean() - there.maps.mean())) < 0.05


def test_a_large_object_gets_larger_cells_and_what_is_told_ends_the_grid():
    held = np.zeros((150, 150, 150), bool)
    held[20:130, 20:130, 20:130] = True
    large = Carried(np.random.default_rng(0).random(held.shape, dtype=np.float32), held)
    seen = survey(large, large.run(known=(75,), told=range(40, 110)))
    assert np.prod(seen.maps.shape[1:]) <= MOST_CELLS
    assert seen.window[0] == slice(40, 110)


def test_known_slices_and_what_is_untold_stay_whatever_the_network_says(scene):
    run = scene.run(known=(24, 20), told=range(14, 34))
    change = consolidate(scene, run, BY_NETWORK, always(20.0))
    index = np.nonzero(change.voxels)[0] + change.window[0].start
    assert index.min() >= 14
    assert index.max() < 34
    assert not set(index) & {20, 24}
    assert not consolidate(scene, run, BY_NETWORK, always(0.0)).voxels.any(), (
        "a network that adds nothing changes nothing"
    )


def test_unsure_answers_and_pieces_apart_change_nothing(scene):
    run = scene.run()
    seen = survey(scene, run)
    away = np.full(seen.mask.shape, -6.0)
    away[seen.mask] = 6.0
    corner = away.copy()
    corner[-4:, :3, :3] = 6.0
    assert not changed(seen, run, corner, RULES[BY_FIRST]).any(), "a piece that touches nothing is not the object"
    assert not changed(seen, run, np.where(seen.mask, -0.3, 0.3), RULES[BY_FIRST]).any()
    assert changed(seen, run, -away, RULES[BY_FIRST]).any()


def test_a_run_of_which_the_model_was_sure_stays(scene):
    limit = RULES[BY_NETWORK].sure
    sure, unsure = (dict.fromkeys(range(48), limit + step) for step in (0.01, -0.01))
    assert consolidate(scene, scene.run(trust=sure), BY_NETWORK, always(20.0)) is None
    assert consolidate(scene, scene.run(trust=unsure), BY_NETWORK, always(20.0)).voxels.any()
    told = scene.run(trust=sure, told=range(48))
    assert consolidate(scene, told, BY_NETWORK, always(20.0)).voxels.any(), "where its slices are told it does not stay"
    older = scene.run(trust=dict.fromkeys(range(48), 0.66), told=range(48))
    assert consolidate(scene, older, BY_FIRST, always(20.0)) is None, "an older journal's network knew no such rule"
    assert mean_trust(scene.run(trust=sure | {20: float("nan")})) == pytest.approx(limit + 0.01)


def test_an_object_without_a_known_section_stays(scene):
    assert consolidate(scene, scene.run(known=(40,)), BY_NETWORK, always(3.0)) is None


CLICKS = (((33, 24, 24), True), ((10, 20, 20), False))
"""On what the run lost, and on what it took too much."""


def test_clicks_are_told_by_polarity_and_moved_with_the_scan(scene):
    without, seen = survey(scene, scene.run()), survey(scene, scene.run(clicks=CLICKS))
    assert seen.maps.shape[0] == CLICKED_FEATURES
    assert np.array_equal(seen.maps[: FEATURES - 1], without.maps[:-1])
    assert np.array_equal(seen.maps[-1], without.maps[-1])
    near = seen.maps[FEATURES - 1], seen.maps[FEATURES + 4]
    for values, (voxel, _) in zip(near, CLICKS, strict=True):
        at = np.unravel_index(int(values.argmax()), values.shape)
        first = [part.start for part in seen.window]
        assert all(abs(i * n + f - v) < n for i, n, f, v in zip(at, seen.strides, first, voxel, strict=True))
    assert np.array_equal(seen.before(), survey(scene, scene.run(clicks=CLICKS[:1])).maps)
    none = survey(scene, scene.run(clicks=()))
    assert none.before is None
    assert none.maps[FEATURES - 1].max() == none.maps[FEATURES + 4].max() == 0
    mirrored = Carried(*(np.ascontiguousarray(a[::-1]) for a in (scene.voxels, scene.object)))
    moved = tuple(((len(scene.object) - 1 - i, j, k), include) for (i, j, k), include in CLICKS)
    there = survey(mirrored, mirrored.run(known=(23,), clicks=moved))
    if seen.strides == (1, 1, 1):
        assert np.allclose(seen.maps, there.maps[:, ::-1], atol=1e-4)


def says(inside, outside, *, before=0.0):
    """A network that knows clicks: one logit for what the mask holds and one for the rest, before any click another."""

    def answer(maps):
        clicked = max(maps[FEATURES - 1].max(), maps[FEATURES + 4].max()) > 0
        wanted = np.where(maps[-1] > 0, inside, outside).astype(float)
        return wanted if clicked else np.full_like(wanted, before)

    return answer


def test_after_a_click_nothing_changes_where_the_network_disagrees_or_the_click_told_nothing(scene):
    run = scene.run(clicks=(((24, 24, 24), True),))
    assert reconsider(scene, run, None, says(6.0, 6.0)).voxels.any()
    assert reconsider(scene, run, None, says(-6.0, 6.0)) is None, "it denies what was clicked"
    assert reconsider(scene, run, None, says(6.0, 6.0, before=5.9)) is None, "it had said so before"
    assert reconsider(scene, run, None, says(6.0, -6.0)) is None, "nothing new"
    assert reconsider(scene, scene.run(known=(40,), clicks=run.clicks), None, says(6.0, 6.0)) is None


def test_what_clicks_have_proved_stays_whatever_the_network_says(scene):
    scene.object[:] = False
    scene.object[16:33, 14:34, 14:34] = True
    click = (24, 24, 30)
    corrected = Change((slice(16, 20), slice(14, 20), slice(14, 20)), np.ones((4, 6, 6), bool))

    def denies(maps):
        """All but the clicked cell."""
        near = maps[FEATURES - 1]
        return np.where((near > 0.85 * near.max()) | (near.max() == 0), 6.0, -6.0)

    run = scene.run(known=(24,), clicks=((click, True),))
    change = reconsider(scene, run, corrected, denies)
    lost = np.zeros(scene.shape, bool)
    lost[change.window] = change.voxels
    places = np.stack(np.indices(scene.shape), axis=-1)
    away = np.sqrt(((places - click) ** 2).sum(axis=-1))
    assert not lost[away <= 4].any(), "the border is four voxels away"
    assert not lost[corrected.window].any()
    assert not lost[24].any(), "a boxed slice stays"
    assert lost[28:33, 20:28, 14:20].all()


@pytest.mark.parametrize("shape", [(13, 17, 20), (3, 9, 12)])
def test_the_network_in_numpy_is_the_one_in_torch(shape):
    torch.manual_seed(0)
    trained = CorrectionNet(FEATURES).double()
    torch.nn.init.normal_(trained.leave.weight)
    rng = np.random.default_rng(1)
    mean, spread = rng.normal(size=FEATURES), rng.uniform(0.5, 2, FEATURES)
    maps = rng.normal(size=(FEATURES, *shape)).astype(np.float32)
    weights = {name: values.numpy() for name, values in trained.float().state_dict().items()}
    with torch.inference_mode():
        wanted = trained.double()(torch.from_numpy(normed(maps, mean, spread)).double()[None])[0].numpy()
    both = {"mean": mean.astype(np.float64), "spread": spread.astype(np.float64)}
    given = Consolidator(weights | both)(maps)
    assert np.allclose(given, wanted, rtol=0, atol=1e-9)
