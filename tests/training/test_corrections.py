"""Training of what answers clicks: its objects, its wrong masks, and that it learns and repeats itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from napari_sam2.engine import correction
from napari_sam2.engine.correction import Perceptron, correct
from napari_sam2.engine.correction_odds import BY_NETWORK, BY_PERCEPTRON
from napari_sam2.training.config import PoolRecipe
from napari_sam2.training.corrections import net
from napari_sam2.training.corrections.net import NetRecipe, train_net
from napari_sam2.training.corrections.perceptron import PerceptronRecipe, train_perceptron
from napari_sam2.training.corrections.practice import draw_practice, next_click
from napari_sam2.training.corrections.recipe import read_recipe
from napari_sam2.training.corrections.wrong_masks import wrong_mask

MODELS = Path(__file__).parents[2] / "docs" / "models"
both_models = pytest.mark.parametrize("name", [BY_PERCEPTRON, BY_NETWORK])


@pytest.fixture
def pools(slabs, texture):
    torch.set_num_threads(1)
    return {"labelled": [texture], "maps": slabs}


SHARES = {"labelled": 0.5, "maps": 0.5}


def overlap(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_masks_go_wrong_in_many_ways_and_are_nearly_right_on_the_boxed_slice(pools):
    rng = np.random.default_rng(0)
    found, boxed_well = [], []
    for _ in range(12):
        practice = draw_practice(rng, pools, SHARES)
        mask, boxed = wrong_mask(rng, practice)
        found.append(overlap(mask, practice.truth))
        boxed_well.append(overlap(mask[boxed], practice.truth[boxed]))
    assert np.std(found) > 0.05
    assert all(0.1 < value < 0.99 for value in found)
    assert np.median(boxed_well) > np.median(found)


def test_a_click_lies_in_an_error_and_says_what_is_true(pools):
    rng = np.random.default_rng(1)
    for _ in range(6):
        practice = draw_practice(rng, pools, SHARES)
        practice.object, _ = wrong_mask(rng, practice)
        click = next_click(rng, practice)
        assert click is not None
        assert practice.truth[click.voxel] == click.include != practice.object[click.voxel]


def test_a_perceptron_of_a_few_clicks_corrects_a_ball_and_comes_out_the_same_again(pools):
    recipe = PerceptronRecipe(episodes=5, clicks=3, steps=120)
    only = {"labelled": pools["labelled"]}
    weights = train_perceptron(only, {"labelled": 1.0}, recipe)
    again = train_perceptron(only, {"labelled": 1.0}, recipe)
    assert all(np.array_equal(values, again[name]) for name, values in weights.items())
    rng = np.random.default_rng(3)
    practice = draw_practice(rng, only, {"labelled": 1.0})
    practice.object = practice.truth & (np.arange(practice.shape[2]) < np.nonzero(practice.truth)[2].mean() + 1)
    before = overlap(practice.object, practice.truth)
    click = next_click(np.random.default_rng(5), practice)
    change = correct(practice, click.voxel, click.include, perceptron=Perceptron(weights))
    practice.object[change.window] ^= change.voxels
    assert overlap(practice.object, practice.truth) > before


def test_a_network_of_a_few_clicks_has_learned_something_and_comes_out_the_same_again(pools, monkeypatch):
    monkeypatch.setattr(net, "FIRST", 3)
    monkeypatch.setattr(net, "LOOKED_AT_AFTER", 3)
    shipped = load_file(Path(correction.__file__).parent / correction.WEIGHTS)
    recipe = NetRecipe(episodes=3, clicks=3, times=8.0)
    weights = train_net(pools, SHARES, recipe, shipped)
    again = train_net(pools, SHARES, recipe, shipped)
    assert all(np.array_equal(values, again[name]) for name, values in weights.items())
    assert weights.keys() == load_file(Path(correction.__file__).parent / correction.NETWORK_WEIGHTS).keys()
    assert np.abs(weights["leave.weight"]).max() > 0, "an untrained network says nothing"


@both_models
def test_the_recipes_name_pools_without_what_is_held_out(name):
    recipe = read_recipe(MODELS / name / "config.toml")
    assert (recipe.perceptron is None) == (name == BY_NETWORK)
    assert (recipe.network is None) == (name == BY_PERCEPTRON)
    assert all(isinstance(pool, PoolRecipe) and not pool.held_out and pool.split for pool in recipe.prepare)
    assert recipe.shares.keys() == {pool.anatomy for pool in recipe.prepare}


@both_models
def test_the_cards_name_the_files_that_ship(name):
    shipped = (Path(correction.__file__).parent / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() in (MODELS / f"{name}.md").read_text().split("**Data.**")[0]
