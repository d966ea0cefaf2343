"""A carried object, looked over as a whole: what is described, what may change, and that numpy does as torch does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from napari_sam2.engine.consolidation import SURE, Consolidator, changed, consolidate, mean_trust, normed
from napari_sam2.engine.consolidation_evidence import FEATURES, MOST_CELLS, Run, survey
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

    def run(self, known=(24,), trust=None, told=None):
        held = np.nonzero(self.object)
        return Run(tuple(slice(int(h.min()), int(h.max()) + 1) for h in held), known, trust or {}, told)


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
    change = consolidate(scene, run, always(20.0))
    index = np.nonzero(change.voxels)[0] + change.window[0].start
    assert index.min() >= 14
    assert index.max() < 34
    assert not set(index) & {20, 24}
    assert not consolidate(scene, run, always(0.0)).voxels.any(), "a network that adds nothing changes nothing"


def test_unsure_answers_and_pieces_apart_change_nothing(scene):
    run = scene.run()
    seen = survey(scene, run)
    away = np.full(seen.mask.shape, -6.0)
    away[seen.mask] = 6.0
    corner = away.copy()
    corner[-4:, :3, :3] = 6.0
    assert not changed(seen, run, corner).any(), "a piece that touches nothing is not the object"
    assert not changed(seen, run, np.where(seen.mask, -0.3, 0.3)).any()
    assert changed(seen, run, -away).any()


def test_a_run_of_which_the_model_was_sure_stays(scene):
    sure, unsure = (dict.fromkeys(range(48), SURE + step) for step in (0.01, -0.01))
    assert consolidate(scene, scene.run(trust=sure), always(20.0)) is None
    assert consolidate(scene, scene.run(trust=unsure), always(20.0)).voxels.any()
    assert mean_trust(scene.run(trust=sure | {20: float("nan")})) == pytest.approx(SURE + 0.01)


def test_an_object_without_a_known_section_stays(scene):
    assert consolidate(scene, scene.run(known=(40,)), always(3.0)) is None


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
