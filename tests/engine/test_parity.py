"""The engine against recorded outputs of the official SAM 2 predictor, on the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.volume import Volume
from napari_sam2.core.window import Window
from napari_sam2.engine.engine import Anchor, Engine
from napari_sam2.engine.propagate import propagate
from napari_sam2.models.base import Decoded, DecodeRequest
from napari_sam2.models.sam2.adapter import Sam2Model

LOGIT_TOLERANCE = 1e-3
NOTHING = np.zeros((0, 2))


def clicks(*xy: tuple[float, float], positive: tuple[bool, ...] = (True,)) -> SlicePrompts:
    return SlicePrompts(points=np.array(xy)[:, ::-1], positive=np.array(positive))


class Recorder:
    """Passes everything on to the model, and keeps the answers to propagated slices."""

    def __init__(self, model: Sam2Model) -> None:
        self._model = model
        self.tracked: list[Decoded] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)

    def decode(self, requests: list[DecodeRequest]) -> list[Decoded]:
        answers = self._model.decode(requests)
        self.tracked += [a for r, a in zip(requests, answers, strict=True) if r.prompts is None]
        return answers


@pytest.fixture
def engine(official: dict[str, np.ndarray], tiny_sam2: Sam2Model) -> Engine:
    voxels = np.moveaxis(official["volume"].astype(np.float32) / np.float32(255), 0, 2)
    return Engine(Volume(voxels, np.eye(4), oriented=False), Recorder(tiny_sam2), Window(0, 1, "unit"), axis=2)


def run(engine: Engine, *anchors: Anchor, **options: object) -> np.ndarray:
    """Low-resolution logits of the first anchor and of what follows, as the official predictor keeps them."""
    list(propagate(engine, {1: list(anchors)}, **options))
    answers = [anchors[0].decoded, *engine.model.tracked]
    return np.stack([a.logits.numpy() if a.object_score > 0 else np.full((32, 32), -1024.0) for a in answers])


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() < LOGIT_TOLERANCE
    both, either = (found > 0) & (expected > 0), (found > 0) | (expected > 0)
    assert both.sum() >= 0.999 * either.sum()


def test_a_click_propagates_forward_as_in_the_official_predictor(engine, official):
    anchor = engine.predict(8, clicks((45, 51)))
    assert_equal(run(engine, anchor, direction="forward"), official["click_forward"])
    assert anchor.scores.object_score == pytest.approx(official["click_forward_score"][0], abs=LOGIT_TOLERANCE)


def test_a_click_propagates_backward_as_in_the_official_predictor(engine, official):
    found = run(engine, engine.predict(8, clicks((45, 51))), direction="backward")
    assert_equal(found, official["click_backward"][::-1])


def test_a_box_with_a_negative_click_gives_the_official_masks(engine, official):
    # The official predictor takes the corner pixels' centres; the engine's boxes are outer edges.
    box = np.array([34.5, 29.5, 70.5, 62.5])
    prompts = SlicePrompts(points=np.array([[70.0, 85.0]]), positive=np.array([False]), box=box)
    found = run(engine, engine.predict(3, prompts), direction="forward", slices=range(8))
    assert_equal(found, official["box_forward"])


def test_a_given_mask_propagates_as_in_the_official_predictor(engine, official):
    mask = np.zeros((128, 128), dtype=bool)
    mask[40:70, 60:100] = True
    anchor = engine.predict(5, SlicePrompts(points=NOTHING, positive=np.zeros(0, bool), mask=mask))
    assert np.array_equal(anchor.mask.full((128, 128)), mask)
    assert_equal(run(engine, anchor, direction="forward", slices=range(10)), official["mask_forward"])


def test_two_prompted_slices_serve_as_memory_as_in_the_official_predictor(engine, official):
    anchors = [engine.predict(4, clicks((45, 51))), engine.predict(12, clicks((48, 50)))]
    found = run(engine, *anchors, direction="forward", slices=range(12))
    assert_equal(found, official["anchors_forward"])


def test_objects_in_one_batch_get_what_each_gets_alone(engine, official):
    anchors = {1: [engine.predict(8, clicks((45, 51)))], 2: [engine.predict(8, clicks((83, 77)))]}
    list(propagate(engine, anchors, direction="forward", slices=range(14)))
    first, second = engine.model.tracked[::2], engine.model.tracked[1::2]
    assert_equal(np.stack([a.logits.numpy() for a in first]), official["click_forward"][1:6])
    assert_equal(np.stack([a.logits.numpy() for a in second]), official["two_objects"][1:])


def test_a_further_click_corrects_the_last_answer_as_in_the_official_predictor(engine, official):
    before = engine.predict(8, clicks((45, 51)))
    corrected = engine.predict(8, clicks((45, 51), (60, 40), positive=(True, False)), previous=before)
    assert_equal(corrected.decoded.logits.numpy()[None], official["corrected_click"])
