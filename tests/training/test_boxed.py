"""Training of the second network for boxed slices: what is drawn, kept in files and learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam2.errors import UserInputError
from napari_sam2.models.small.box_net import BoxNet, BoxNetConfig
from napari_sam2.models.small.model import SmallModel, bundled_weights
from napari_sam2.training.boxed import drawing, learning
from napari_sam2.training.boxed.drawing import draw_boxed
from napari_sam2.training.boxed.learning import LearningRecipe, learned
from napari_sam2.training.boxed.recipe import read_recipe
from napari_sam2.training.boxed.views import joined, made_views, read_views, write_views
from napari_sam2.training.pool import PoolObject, PoolVolume
from napari_sam2.training.split import read_split

RECIPE = Path(__file__).parents[2] / "docs/models/boxed-1/config.toml"
CONFIG = BoxNetConfig(size=32, widths=(8, 8, 8, 8))


def volume(name, kind, seed=0):
    """A ball of intensity 900 (or region 2) in a volume of 100 (or region 1)."""
    grid = np.indices((20, 40, 44))
    ball = sum(((g - m) / r) ** 2 for g, m, r in zip(grid, (10, 18, 22), (7, 10, 12), strict=True)) < 1
    if kind == "air":
        return PoolVolume(name, kind, (1 + ball).astype(np.uint8), True, [PoolObject.from_mask(ball, (2,))])
    noise = np.random.default_rng(seed).normal(0, 30, ball.shape)
    return PoolVolume(name, kind, (100 + 800 * ball + noise).astype(np.int16), False, [PoolObject.from_mask(ball)])


POOLS = {"labelled": [volume("mr_a_1", "image"), volume("pet_b_1", "image", 1)], "maps": [volume("atlas_c", "air")]}


def draw(seed, shares, hot=0.5, count=12):
    rng = np.random.default_rng(seed)
    return [draw_boxed(rng, POOLS, shares, hot, 2.0) for _ in range(count)]


@pytest.mark.parametrize("part", ["labelled", "maps"])
def test_tight_boxes_touch_the_object_and_loose_ones_nearly(part, monkeypatch):
    for loose, most in ((0.0, 1e-6), (1.0, 0.2)):
        monkeypatch.setattr(drawing, "LOOSE", loose)
        for item in draw(3, {part: 1.0}):
            rows, columns = (torch.nonzero(item.truth.any(1 - a)).flatten() for a in (0, 1))
            tight = [columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5]
            sides = [float(tight[2] - tight[0]), float(tight[3] - tight[1])] * 2
            away = [abs(float(t) - e) / side for t, e, side in zip(tight, item.box, sides, strict=True)]
            assert max(away) <= most
            assert item.stack.shape == (3, *item.truth.shape)
            assert 0 <= float(item.stack.min()) < float(item.stack.max()) <= 1


def test_the_middle_slice_is_the_one_of_the_object(monkeypatch):
    monkeypatch.setattr(drawing, "TURNED", 0.0)
    monkeypatch.setattr(drawing, "alter", lambda _, image: image)
    for item in draw(5, {"labelled": 1.0}):
        bright = item.stack > item.stack[1][item.truth > 0].mean() / 2
        overlaps = [float((2 * (b & (item.truth > 0)).sum()) / (b.sum() + item.truth.sum())) for b in bright]
        assert overlaps[1] > 0.97
        assert overlaps[1] >= max(overlaps)


def test_the_same_seed_draws_the_same_and_pet_is_drawn_oftener():
    one, two = (draw(7, {"labelled": 0.6, "maps": 0.4}) for _ in range(2))
    assert all(torch.equal(a.stack, b.stack) and a.box == b.box for a, b in zip(one, two, strict=True))
    names = [item.name for item in draw(8, {"labelled": 1.0}, count=60)]
    assert names.count("pet_b_1") > 1.3 * names.count("mr_a_1")


@pytest.fixture(scope="module")
def views():
    model = SmallModel(bundled_weights(), boxed=False)
    return made_views(draw(1, {"labelled": 0.6, "maps": 0.4}, count=20), model, CONFIG)


def test_views_are_what_the_product_sees(views, tmp_path):
    assert views.channels.shape == (20, 12, 32, 32)
    for truth, (x0, y0, x1, y1) in zip(views.truth, views.boxes, strict=True):
        assert max(float(x1 - x0), float(y1 - y0)) <= 32 / 1.6 + 1e-3
        inside = truth[max(0, int(y0 - 3)) : int(y1 + 5), max(0, int(x0 - 3)) : int(x1 + 5)]
        assert float(inside.sum()) == pytest.approx(float(truth.sum()))
    write_views(tmp_path / "a.safetensors", views)
    again = joined([read_views(tmp_path / "a.safetensors")] * 2)
    assert torch.equal(again.channels[20:], views.channels)
    assert len(again) == 40


def test_box_and_object_agree_in_the_close_view(monkeypatch):
    monkeypatch.setattr(drawing, "LOOSE", 0.0)
    model = SmallModel(bundled_weights(), boxed=False)
    made = made_views(draw(2, {"labelled": 0.6, "maps": 0.4}, count=8), model, CONFIG)
    for truth, box in zip(made.truth, made.boxes, strict=True):
        rows, columns = (torch.nonzero((truth > 0.2).any(1 - a)).flatten() for a in (0, 1))
        edges = [columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5]
        assert [float(edge) for edge in edges] == pytest.approx(box.tolist(), abs=1.3)


def test_a_run_that_was_cut_off_gives_the_same_weights_and_learns(views, tmp_path, monkeypatch):
    recipe = LearningRecipe(updates=60, batch=8, rate=1e-2, decay=0.9, every=20)
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = learned(views, views, CONFIG, recipe, tmp_path / "whole")

    folder = tmp_path / "cut"
    proper = learning._keep

    def kept_and_stopped(*parts):
        proper(*parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(learning, "_keep", kept_and_stopped)
    with pytest.raises(KeyboardInterrupt):
        learned(views, views, CONFIG, recipe, folder)
    monkeypatch.setattr(learning, "_keep", proper)
    again = learned(views, views, CONFIG, recipe, folder)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    lines = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [20, 40, 60]
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["before"] == lines[0]["before"]
    net = BoxNet(CONFIG)
    net.load_state_dict(whole)


def test_the_recipe_keeps_what_is_held_out_apart():
    recipe = read_recipe(RECIPE)
    split = read_split(RECIPE.parent.parent / "small-2/split.toml")
    assert {pool.anatomy for pool in recipe.prepare} == set(recipe.views.shares)
    assert not any(pool.held_out for pool in recipe.prepare)
    assert not any(split.holds_out(name) for name in recipe.views.keep)


def test_a_recipe_that_says_too_much_is_refused(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(RECIPE.read_text(encoding="utf-8").replace("batch =", "bunch ="), encoding="utf-8")
    with pytest.raises(UserInputError, match=r"r\.toml is no recipe"):
        read_recipe(path)
