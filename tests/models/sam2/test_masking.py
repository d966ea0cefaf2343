"""Prompts of different lengths in one call of the mask decoder."""

import pytest
import torch

from napari_sam2.models.base import DecodeRequest, ModelCard, ViewPrompts
from napari_sam2.models.edgetam.adapter import EdgeTamModel
from napari_sam2.models.sam2.prompting import PADDING, as_points
from napari_sam2.models.sam3.adapter import Sam3Tracker
from tests.models.edgetam.test_adapter import small_network as small_edgetam
from tests.models.sam3.test_adapter import small_network as small_sam3
from tests.tiny_sam2 import tiny_model

MODELS = {
    "SAM 2": lambda: tiny_model(128),
    "SAM 2 at another size": lambda: tiny_model(128).at_size(160),
    "EdgeTAM": lambda: EdgeTamModel(small_edgetam(), ModelCard("small", "edgetam")),
    "SAM 3": lambda: Sam3Tracker(small_sam3(), ModelCard("small", "sam3")),
}


def prompts_of_many_lengths():
    """Two, three, five and six points, boxes among them."""
    random = torch.Generator().manual_seed(0)
    boxes = (None, torch.tensor([20.0, 30.0, 80.0, 90.0]), None, torch.tensor([10.0, 10.0, 60.0, 50.0]))
    return [
        ViewPrompts(torch.rand(count, 2, generator=random) * 100, torch.arange(count) % 2 == 0, box)
        for count, box in zip((2, 1, 5, 4), boxes, strict=True)
    ]


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def requests_for(model):
    torch.manual_seed(1)
    images = torch.rand(4, 1, model.input_size, model.input_size)
    features = model.encode(images)
    return [DecodeRequest(f, prompts) for f, prompts in zip(features, prompts_of_many_lengths(), strict=True)]


def test_they_are_answered_in_one_call_as_each_alone(model, monkeypatch):
    requests = requests_for(model)
    decoder, calls = model.network.mask_decoder, []
    forward = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda **given: calls.append(1) or forward(**given))
    together = model.decode(requests)
    assert len(calls) == 1
    for request, found in zip(requests, together, strict=True):
        alone = model.decode([request])[0]
        assert torch.allclose(found.logits, alone.logits, atol=1e-3)
        assert torch.allclose(found.state, alone.state, atol=1e-3)
        assert found.predicted_iou == pytest.approx(alone.predicted_iou, abs=1e-3)
        assert found.object_score == pytest.approx(alone.object_score, abs=1e-3)


def test_padding_that_is_attended_to_would_be_seen(model, monkeypatch):
    requests = requests_for(model)
    alone = [model.decode([request])[0] for request in requests]
    monkeypatch.setattr("napari_sam2.models.sam2.masking._attending_to_tokens", lambda _: [])
    together = model.decode(requests)
    assert max((a.logits - b.logits).abs().max() for a, b in zip(alone, together, strict=True)) > 5e-3


def test_shorter_prompts_are_padded_and_none_is_a_token_of_its_own():
    features = (None, None, torch.zeros(1))
    batch = [DecodeRequest(features, prompts) for prompts in prompts_of_many_lengths()] + [DecodeRequest(features)]
    points, labels = as_points(batch)
    assert points.shape == (5, 1, 6, 2)
    assert labels[:, 0].tolist() == [
        [1, 0, *[PADDING] * 4],
        [2, 3, 1, *[PADDING] * 3],
        [1, 0, 1, 0, 1, PADDING],
        [2, 3, 1, 0, 1, 0],
        [-1, *[PADDING] * 5],
    ]
    assert as_points(batch[-1:])[1].tolist() == [[[-1]]]
