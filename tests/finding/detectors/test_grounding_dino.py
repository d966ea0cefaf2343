import numpy as np
import pytest
import torch
import transformers

from napari_sam2.finding.detectors import grounding_dino
from napari_sam2.finding.detectors.grounding_dino import GroundingDino
from napari_sam2.finding.detectors.loading import load_detector

PHRASES = ("liver", "left kidney", "zorvelm")


@pytest.fixture
def loaded(dino):
    return load_detector(dino[0], torch.device("cpu"))


@pytest.fixture
def theirs(dino):
    """transformers' own processor, which lowers words, adds dots and turns boxes into pixels."""
    folder = dino[0]
    return transformers.GroundingDinoProcessor(
        transformers.GroundingDinoImageProcessorPil.from_pretrained(folder, local_files_only=True),
        transformers.BertTokenizer.from_pretrained(folder, local_files_only=True),
    )


def test_boxes_are_those_of_transformers(dino, loaded, theirs, picture, monkeypatch):
    monkeypatch.setattr(grounding_dino, "LEAST_SCORE", -1.0)
    monkeypatch.setattr("napari_sam2.finding.detectors.detector.SAME", 2.0)
    asked = theirs(images=picture, text=[list(PHRASES)], return_tensors="pt", input_data_format="channels_last")
    with torch.inference_mode():
        answer = dino[1](**asked)
    (expected,) = theirs.post_process_grounded_object_detection(
        answer, asked["input_ids"], threshold=-1.0, target_sizes=[picture.shape[:2]]
    )
    said = answer.logits[0].sigmoid().numpy()
    tokens = theirs.tokenizer.convert_ids_to_tokens(asked["input_ids"][0])
    assert tokens == ["[CLS]", "liver", ".", "left", "kidney", ".", "zor", "##velm", ".", "[SEP]"]
    edges = expected["boxes"].numpy()[:, [1, 0, 3, 2]].clip(0, np.tile(picture.shape[:2], 2))
    for boxes, places in zip(loaded.look(picture).boxes(PHRASES), ([1], [3, 4], [6, 7]), strict=True):
        scores = said[:, places].max(axis=1)
        order = np.argsort(-scores, kind="stable")
        assert boxes.scores == pytest.approx(scores[order], abs=1e-5)
        assert boxes.edges == pytest.approx(edges[order], abs=1e-3)


def test_only_boxes_of_a_score_are_told_the_best_first(loaded, picture):
    for boxes in loaded.look(picture).boxes(PHRASES):
        assert (boxes.scores >= grounding_dino.LEAST_SCORE).all()
        assert (np.diff(boxes.scores) <= 0).all()
        assert (boxes.edges >= 0).all()
        assert (boxes.edges <= np.tile(picture.shape[:2], 2)).all()


def test_it_says_what_it_is(dino, loaded):
    assert isinstance(loaded, GroundingDino)
    assert loaded.name == f"Grounding DINO {dino[0].name}"
    assert len(loaded.sha256) == 64
