"""Training of what goes over carried objects: its examples, that it learns, and that it comes out the same again."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.phantoms import ball

from napari_sam2.engine import consolidation
from napari_sam2.engine.consolidation import Consolidator
from napari_sam2.engine.consolidation_evidence import CLICKED_FEATURES, survey
from napari_sam2.engine.consolidation_rules import BY_FIRST, BY_NETWORK
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.training.consolidation import net
from napari_sam2.training.consolidation.clicking import clicked, looked_over
from napari_sam2.training.consolidation.examples import draw_examples, in_whole_scans, read_examples, write_examples
from napari_sam2.training.consolidation.lessons import lesson_of, lessons_of, told_of
from napari_sam2.training.consolidation.net import NetRecipe, train_net
from napari_sam2.training.consolidation.recipe import read_recipe
from napari_sam2.training.split import read_split

MODELS = Path(__file__).parents[2] / "docs" / "models"
CONFIG = MODELS / "consolidation-2" / "config.toml"


@pytest.fixture
def pools(texture):
    torch.set_num_threads(1)
    return {"labelled": [texture]}


@pytest.fixture
def examples(pools):
    rng = np.random.default_rng(0)
    return list(draw_examples(rng, pools, {"labelled": 1.0}, ClassicalModel(), 3, (24, 60)))


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


def test_an_object_in_a_whole_scan_keeps_its_slices_and_its_surroundings(tmp_path):
    volume, inside = ball(shape=(30, 28, 20), centre=(15, 14, 10), radii=(9, 7, 6))
    for name, values in (("scan", volume.voxels), ("labels", inside.astype(np.uint8))):
        nib.save(nib.Nifti1Image(values, volume.affine), tmp_path / f"{name}.nii.gz")
    table = tmp_path / "scans.csv"
    table.write_text("case,image,labels,ids\na,scan.nii.gz,labels.nii.gz,1\n")
    (example,) = in_whole_scans(table, tmp_path, ClassicalModel())
    assert example.truth.sum() == inside.sum()
    assert example.voxels.shape == example.carried.shape == example.truth.shape
    assert overlap(example.carried, example.truth) > 0.5
    assert example.told == range(*(int(n) for n in (inside.any((0, 1)).nonzero()[0][[0, -1]] + [0, 1])))


def test_slices_are_told_not_at_all_or_with_the_whole_object_in_them():
    truth = np.zeros((20, 4, 4), bool)
    truth[6:12] = True
    told = [told_of(np.random.default_rng(seed), truth) for seed in range(40)]
    assert None in told
    assert range(6, 12) in told
    assert any(slices not in (None, range(6, 12)) for slices in told)
    assert all(slices is None or set(range(6, 12)) <= set(slices) <= set(range(20)) for slices in told)


def test_clicks_mend_a_mask_and_its_lessons_know_of_them(examples):
    example = examples[0]
    wrong = example.truth.copy()
    wrong[example.boxed + 2 :] = False
    example = replace(example, carried=wrong, told=None)
    states = list(clicked(np.random.default_rng(0), example, 3))
    assert [len(state.clicks) for state in states] == list(range(1, len(states) + 1))
    assert overlap(states[-1].carried, example.truth) > overlap(wrong, example.truth)
    assert np.array_equal(example.carried, wrong), "the example itself stays"
    lessons = lessons_of(np.random.default_rng(0), example, 2, lambda maps: maps[-1].astype(float))
    assert 2 <= len(lessons) <= 3
    assert lessons[0].maps[34].max() == 0
    assert lessons[1].maps.shape[0] == CLICKED_FEATURES
    near = np.maximum(lessons[1].maps[34], lessons[1].maps[39]).astype(float)
    assert near.max() == 1
    grown = looked_over(
        replace(example, trust=np.full(len(wrong), 0.1)), BY_FIRST, lambda maps: np.full_like(maps[0], 9)
    )
    assert (grown.carried & ~wrong).any()


def test_a_network_of_a_few_objects_mends_them_and_comes_out_the_same_again(examples, pools, monkeypatch):
    monkeypatch.setattr(net, "LOOKED_AT_AFTER", 10)
    monkeypatch.setattr("napari_sam2.training.consolidation.lessons.MOST_CLICKS", 2)
    shares = {"few": 0.7, "invented": 0.3}
    recipe = NetRecipe(20, 14, 1, 2, (24, 60), {"labelled": 1.0}, shares, shares | {"own way": 0.5}, 0.5, 4e-3, 0.8)
    weights = train_net({"few": examples}, pools, recipe)
    again = train_net({"few": examples}, pools, recipe)
    assert all(np.array_equal(values, again[name]) for name, values in weights.items())
    logits = [Consolidator(weights)(survey(e.practice(), e.run()).maps) for e in examples]
    lessons = [lesson_of(e) for e in examples]
    here = [overlap(grid > 0, lesson.wanted > 0.5) for grid, lesson in zip(logits, lessons, strict=True)]
    before = [overlap(lesson.maps[-1] > 0, lesson.wanted > 0.5) for lesson in lessons]
    assert np.mean(here) > np.mean(before) + 0.005, (here, before)


def test_it_begins_with_what_the_network_without_clicks_says(examples):
    first = Path(consolidation.__file__).parent / f"{BY_FIRST}.safetensors"
    old = load_file(first)
    recipe = NetRecipe(100, 5, 0, 0, (24, 60), {}, {}, {})
    begun = net.Training({"few": [[lesson_of(e)] for e in examples]}, recipe, old).weights()
    for example in examples:
        run = example.run()
        clicks = replace(run, clicks=(((example.boxed, 3, 3), True),))
        now = Consolidator(begun)(survey(example.practice(), clicks).maps)
        assert np.allclose(
            now, Consolidator(old)(survey(example.practice(), replace(run, clicks=None)).maps), atol=1e-4
        )


def test_a_lesson_says_which_share_of_every_cell_is_the_objects(examples):
    lesson = lesson_of(examples[0])
    assert lesson.maps.shape[1:] == lesson.wanted.shape == lesson.weights.shape
    assert set(np.unique(lesson.wanted)) <= {0.0, 1.0} or 0 < lesson.wanted.mean() < 1
    assert abs(float(lesson.weights.astype(float).mean()) - 1) < 0.01


def test_the_recipe_names_pools_and_scans_without_what_is_held_out():
    recipe = read_recipe(CONFIG)
    assert all(not pool.held_out and pool.split for pool in recipe.prepare)
    parts = {pool.anatomy for pool in recipe.prepare}
    assert all(of_set.shares.keys() <= parts for of_set in recipe.carried.values())
    sets = {*recipe.carried, "scans", net.INVENTED}
    assert recipe.network.first.keys() == sets
    assert recipe.network.then.keys() == sets | {net.OWN_WAY}
    held_out = read_split(MODELS / "small-2" / "split.toml")
    with (CONFIG.parent / recipe.scans).open() as table:
        scans = {row["case"] for row in csv.DictReader(table)}
    assert scans
    assert not {name for name in scans if held_out.holds_out(name)}


@pytest.mark.parametrize("name", [BY_FIRST, BY_NETWORK])
def test_the_card_names_the_file_that_ships(name):
    shipped = (Path(consolidation.__file__).parent / f"{name}.safetensors").read_bytes()
    assert hashlib.sha256(shipped).hexdigest() in (MODELS / f"{name}.md").read_text()
