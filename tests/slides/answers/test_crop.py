from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.models import load_model
from napari_sam2.slides.answers.crop import Crop, crop_around
from napari_sam2.slides.answers.crop_engine import CropEngine
from napari_sam2.slides.answers.refine import refine
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.polygons import polygon_to_mask
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from tests.slides.conftest import ComponentModel, disc, stained

SHAPE = (1500, 1800)
SMALL, MIDDLE, LARGE = (100, 120, 30), (400, 1300, 150), (1000, 600, 400)


def dice(polygon, truth):
    mask = polygon_to_mask(polygon, 0, 0, truth.shape)
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def box_of(row, col, radius):
    return SlideBox(row - radius, col - radius, row + radius, col + radius)


@pytest.fixture(scope="module")
def slide():
    return Slide(ArraySource(stained(SHAPE, SMALL, MIDDLE, LARGE)), "discs.png")


@pytest.fixture
def engine(slide):
    return CropEngine(slide, load_model("classical"))


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 100_000),
    st.integers(1, 80_000),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_crop_holds_its_object_is_aligned_and_never_too_large(rows, cols, top, left, height, width):
    row0, col0 = np.floor(top * rows), np.floor(left * cols)
    bounds = (row0, col0, row0 + max(1, height * (rows - row0)), col0 + max(1, width * (cols - col0)))
    crop = crop_around(bounds, (rows, cols), 256)
    assert crop.contains(bounds)
    assert crop.row % crop.scale == 0
    assert crop.col % crop.scale == 0
    assert 0 < max(crop.rows, crop.cols) <= 256
    assert 0 <= crop.row < rows
    assert 0 <= crop.col < cols


def test_a_crop_shows_an_object_at_a_fifth_to_two_fifths_of_its_side():
    for side in range(40, 4000, 37):
        crop = crop_around((20000, 20000, 20000 + side, 20000 + side / 3), (80000, 100000), 256)
        assert 0.2 - 1e-9 <= side / (crop.rows * crop.scale) <= 0.4 + 1e-9 or crop.rows * crop.scale == 64


def test_clicks_close_together_share_a_crop():
    crops = {crop_around((r, c, r + 100, c + 100), (80000, 100000), 256) for r in (5000, 5003) for c in (7025, 7032)}
    assert len(crops) == 1


def test_a_mask_is_carried_between_crops_to_the_pixel():
    coarse, fine = Crop(0, 0, 64, 64, 8), Crop(128, 64, 128, 160, 2)
    mask = np.random.default_rng(0).random((64, 64)) > 0.5
    expected = np.kron(mask, np.ones((4, 4), dtype=bool))[64:192, 32:192]
    np.testing.assert_array_equal(fine.carry(mask, coarse), expected)
    outside = Crop(-64, 0, 32, 32, 4)
    assert not outside.carry(mask, coarse)[:16].any()


@pytest.mark.parametrize("found", [SMALL, MIDDLE, LARGE])
def test_a_box_gives_the_object_in_level_0_pixels_whatever_its_size(engine, found):
    answer = engine.answer([box_of(*found)])
    assert dice(answer.polygon(), disc(SHAPE, *found)) > 0.95
    assert not answer.is_cut


@pytest.mark.parametrize("found", [SMALL, MIDDLE, LARGE])
def test_a_bare_click_finds_objects_of_every_size(engine, found):
    answer = engine.answer([SlidePoint(found[0] + 3, found[1] - 2)])
    assert dice(answer.polygon(), disc(SHAPE, *found)) > 0.9


def test_the_crop_grows_until_the_object_lies_inside(slide):
    engine = CropEngine(slide, ComponentModel(256))
    answer = engine.answer([SlidePoint(1000, 600)], field=256)
    assert answer.crop.rows * answer.crop.scale >= 1024
    assert not answer.is_cut
    assert dice(answer.polygon(), disc(SHAPE, *LARGE)) > 0.99


def test_growth_ends_after_three_steps_and_says_that_the_object_is_cut():
    slide = Slide(ArraySource(np.full((9000, 9000, 3), 90, dtype=np.uint8)), "dark")
    answer = CropEngine(slide, ComponentModel(128)).answer([SlidePoint(4500, 4500)], field=128)
    assert answer.is_cut
    assert answer.crop.rows * answer.crop.scale == 1024


def test_an_object_at_the_edge_of_the_slide_is_not_cut():
    slide = Slide(ArraySource(stained((600, 600), (0, 300, 120))), "edge.png")
    answer = CropEngine(slide, load_model("classical")).answer([SlideBox(0, 180, 120, 420)])
    assert not answer.is_cut
    assert dice(answer.polygon(), disc((600, 600), 0, 300, 120)) > 0.92


def test_all_prompts_of_an_object_lie_in_its_crop_however_far_apart(engine):
    prompts = [SlidePoint(1000, 600), SlidePoint(10, 1790, False), SlidePoint(1490, 5, False)]
    answer = engine.answer(prompts, field=256)
    assert all(answer.crop.contains(p.bounds) for p in prompts)


def test_a_second_click_corrects_the_first_answer_on_the_same_features(slide):
    engine = CropEngine(slide, load_model("classical"))
    first = engine.answer([SlidePoint(400, 1300)], field=800)
    encoded = sum(e.features.n_encoded for e in engine._engines.values())
    second = engine.answer([SlidePoint(400, 1300), SlidePoint(400, 1250)], previous=first)
    assert second.crop == first.crop
    assert sum(e.features.n_encoded for e in engine._engines.values()) == encoded
    assert dice(second.polygon(), disc(SHAPE, *MIDDLE)) > 0.9


def test_repeating_a_prompt_reads_and_encodes_nothing(engine, monkeypatch):
    first = engine.answer([box_of(*MIDDLE)])
    monkeypatch.setattr(Slide, "read_scaled", lambda *_: pytest.fail("read again"))
    np.testing.assert_array_equal(engine.answer([box_of(*MIDDLE)]).mask, first.mask)


def test_kept_crops_are_few(slide, monkeypatch):
    monkeypatch.setattr("napari_sam2.slides.answers.crop_engine.KEPT_CROPS", 3)
    engine = CropEngine(slide, load_model("classical"))
    for row in range(100, 1400, 150):
        engine.answer([SlideBox(row, 100, row + 40, 140)])
    assert len(engine._engines) == 3


def test_the_answer_is_the_same_on_a_far_larger_slide(slide):
    pixels = stained(SHAPE, SMALL, MIDDLE, LARGE)
    far = np.pad(pixels, ((0, 2596), (0, 2296), (0, 0)), mode="edge")
    prompt = [box_of(*MIDDLE)]
    small = CropEngine(slide, load_model("classical")).answer(prompt)
    large = CropEngine(Slide(ArraySource(far), "far"), load_model("classical")).answer(prompt)
    assert small.crop == large.crop
    np.testing.assert_array_equal(small.mask, large.mask)


def test_refining_halves_the_scale_and_comes_closer_to_the_truth(engine):
    answer = engine.answer([box_of(*LARGE)])
    truth = disc(SHAPE, *LARGE)
    finer = refine(engine, answer)
    assert finer.crop.scale == answer.crop.scale // 2
    finest = refine(engine, refine(engine, finer))
    assert finest.crop.scale == 1
    assert dice(finest.polygon(), truth) > max(0.99, dice(answer.polygon(), truth))
    assert refine(engine, finest) is finest


def test_refining_can_be_cancelled(engine):
    answer = engine.answer([box_of(*LARGE)])
    assert refine(engine, answer, should_stop=lambda: True) is answer
