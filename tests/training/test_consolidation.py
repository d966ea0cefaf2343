"""Training of what looks over carried objects: its examples, that it learns, and that it comes out the same again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam2.engine import consolidation
from napari_sam2.engine.consolidation import BY_NETWORK, Consolidator
from napari_sam2.engine.consolidation_evidence import survey
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.training.consolidation import net
from napari_sam2.training.consolidation.examples import draw_examples, read_examples, write_examples
from napari_sam2.training.consolidation.net import NetRecipe, gather, lesson_of, practice_of, run_of, told_of, train_net
from napari_sam2.training.consolidation.recipe import read_recipe

CONFIG = Path(__file__).parents[2] / "docs" / "models" / "consolidation-1" / "config.toml"


@pytest.fixture
def pools(texture):
    torch.set_num_threads(1)
    return {"labelled": [texture]}


@pytest.fixture
def examples(pools):
    return list(draw_examples(np.random.default_rng(0), pools, {"labelled": 1.0}, ClassicalModel(), 3))


def overlap(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_examples_are_carried_from_the_middle_and_come_out_of_a_file_as_they_were(examples, tmp_path):
    write_examples(tmp_path / "carried.npz", examples)
    again = read_examples(tmp_path / "carried.npz")
    assert len(again) == 3
    for here, there in zip(examples, again, strict=True):
        assert here.carried[here.boxed].any()
        assert overlap(here.carried, here.truth) > 0.3
        assert np.array_equal(here.carried, there.carried)
        assert np.array_equal(here.truth, there.truth)
        assert np.array_equal(here.trust, there.trust, equal_nan=True)
        assert np.abs(here.voxels - there.voxels).max() < 1e-4
        assert (here.boxed, here.told, here.spacing) == (there.boxed, there.told, there.spacing)


def test_slices_are_told_not_at_all_or_with_the_whole_object_in_them():
    truth = np.zeros((20, 4, 4), bool)
    truth[6:12] = True
    told = [told_of(np.random.default_rng(seed), truth) for seed in range(40)]
    assert None in told
    assert range(6, 12) in told
    assert any(slices not in (None, range(6, 12)) for slices in told)
    assert all(slices is None or set(range(6, 12)) <= set(slices) <= set(range(20)) for slices in told)


def test_a_network_of_a_few_objects_mends_them_and_comes_out_the_same_again(examples, pools, monkeypatch):
    monkeypatch.setattr(net, "LOOKED_AT_AFTER", 10)
    recipe = NetRecipe(updates=30, invented=6, rate=4e-3, decay=0.8)
    weights = train_net(*gather(examples, pools, {"labelled": 1.0}, recipe), recipe)
    again = train_net(*gather(examples, pools, {"labelled": 1.0}, recipe), recipe)
    assert all(np.array_equal(values, again[name]) for name, values in weights.items())
    logits = [Consolidator(weights)(survey(practice_of(e), run_of(e)).maps) for e in examples]
    lessons = [lesson_of(e) for e in examples]
    here = [overlap(grid > 0, lesson.wanted > 0.5) for grid, lesson in zip(logits, lessons, strict=True)]
    before = [overlap(lesson.maps[-1] > 0, lesson.wanted > 0.5) for lesson in lessons]
    assert np.mean(here) > np.mean(before) + 0.005, (here, before)


def test_a_lesson_says_which_share_of_every_cell_is_the_objects(examples):
    lesson = lesson_of(examples[0])
    assert lesson.maps.shape[1:] == lesson.wanted.shape == lesson.weights.shape
    assert set(np.unique(lesson.wanted)) <= {0.0, 1.0} or 0 < lesson.wanted.mean() < 1
    assert abs(float(lesson.weights.astype(float).mean()) - 1) < 0.01


def test_the_recipe_names_pools_without_what_is_held_out():
    recipe = read_recipe(CONFIG)
    assert all(not pool.held_out and pool.split for pool in recipe.prepare)
    assert recipe.shares.keys() == {pool.anatomy for pool in recipe.prepare}


def test_the_card_names_the_file_that_ships():
    shipped = (Path(consolidation.__file__).parent / f"{BY_NETWORK}.safetensors").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() in (CONFIG.parents[1] / f"{BY_NETWORK}.md").read_text()
