"""SAM 2 behind the protocol: batches equal one at a time."""

import pytest
import torch

from napari_sam2.models.base import DecodeRequest, MemoryRef, RememberRequest, ViewPrompts
from tests.tiny_sam2 import tiny_model

SIZE = 128


@pytest.fixture(scope="module")
def model():
    return tiny_model(SIZE)


def clicks(*points):
    return ViewPrompts(torch.tensor(points).float(), torch.ones(len(points), dtype=torch.bool))


def box(*edges):
    return ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool), torch.tensor(edges).float())


def requests_of_all_kinds(model):
    """Bare clicks, boxes, corrections, given masks, and objects with one to nine memories."""
    torch.manual_seed(1)
    features = model.encode(torch.rand(10, 1, SIZE, SIZE))
    mask = torch.zeros(SIZE, SIZE)
    mask[30:70, 40:90] = 1
    anchors = [
        DecodeRequest(features[0], clicks((60.0, 50.0)), n_slices=10),
        DecodeRequest(features[1], box(20.0, 30.0, 80.0, 90.0), n_slices=10),
        DecodeRequest(features[2], clicks((60.0, 50.0), (70.0, 50.0), (10.0, 90.0)), n_slices=10),
        DecodeRequest(features[3], ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool), mask=mask)),
    ]
    first = [model.decode([request])[0] for request in anchors]
    remembered = [
        model.remember([RememberRequest(a.features, d, prompted=True)])[0] for a, d in zip(anchors, first, strict=True)
    ]
    far = [MemoryRef(remembered[1], -n, prompted=False) for n in range(1, 9)]
    return [
        *anchors,
        DecodeRequest(features[0], clicks((60.0, 50.0), (5.0, 5.0)), previous=first[0], n_slices=10),
        DecodeRequest(features[4], memories=(MemoryRef(remembered[0], -1, prompted=True),), n_slices=10),
        DecodeRequest(features[5], memories=(MemoryRef(remembered[3], -5, prompted=True), *far), n_slices=10),
        DecodeRequest(features[6], memories=tuple(far[:3]), n_slices=10),
        DecodeRequest(features[7], clicks((9.0, 9.0)), (MemoryRef(remembered[2], 3, prompted=True),), n_slices=10),
    ]


def test_requests_of_all_kinds_are_answered_together_as_one_at_a_time(model):
    with torch.inference_mode():
        requests = requests_of_all_kinds(model)
        together = model.decode(requests)
        alone = [model.decode([request])[0] for request in requests]
    assert len({round(float(a.logits.std()), 4) for a in alone}) == len(requests)
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one.logits, other.logits, atol=1e-3)
        assert one.object_score == pytest.approx(other.object_score, abs=1e-3)
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-3)
        assert torch.allclose(one.state, other.state, atol=1e-3)


def test_all_objects_go_through_memory_attention_in_one_call(model, monkeypatch):
    with torch.inference_mode():
        requests = requests_of_all_kinds(model)[-4:]
        encoder, attention = model._passes()
        calls = []
        spied = (encoder, lambda top, of: calls.append(len(of)) or attention(top, of))
        monkeypatch.setattr(model, "_passes", lambda: spied)
        model.decode(requests)
    assert calls == [4]


def test_memories_are_made_together_as_one_at_a_time(model):
    with torch.inference_mode():
        requests = [
            RememberRequest(r.features, model.decode([r])[0], prompted=n % 2 == 0)
            for n, r in enumerate(requests_of_all_kinds(model))
        ]
        for one, request in zip(model.remember(requests), requests, strict=True):
            alone = model.remember([request])[0]
            assert torch.allclose(one.features.float(), alone.features.float(), atol=0.05)
            assert torch.equal(one.pointer, alone.pointer)


def test_a_click_that_a_memory_disagrees_with_still_depends_on_the_memory(model):
    with torch.inference_mode():
        *_, with_memory = requests_of_all_kinds(model)
        without = DecodeRequest(with_memory.features, with_memory.prompts, n_slices=10)
        one, other = model.decode([with_memory, without])
    assert (one.logits - other.logits).abs().max() > 1e-2


def test_all_masks_of_a_click_are_three_and_the_best_is_the_answer(model):
    with torch.inference_mode():
        features = model.encode(torch.rand(2, 1, SIZE, SIZE))
        click = DecodeRequest(features[0], clicks((60.0, 50.0)))
        other = DecodeRequest(features[1], clicks((20.0, 90.0)))
        masks, boxed, others = model.decode_all([click, DecodeRequest(features[0], box(20.0, 30.0, 80.0, 90.0)), other])
        answer = model.decode([click])[0]
        alone = model.decode_all([other])[0]
    best = max(masks, key=lambda decoded: decoded.predicted_iou)
    assert len(masks) == 3
    assert torch.allclose(best.logits, answer.logits, atol=1e-5)
    assert torch.allclose(best.state, answer.state, atol=1e-5)
    assert all((a.logits - b.logits).abs().max() > 1e-2 for a, b in ((masks[0], masks[1]), (masks[1], masks[2])))
    assert len(boxed) == 1
    for one, together in zip(alone, others, strict=True):
        assert torch.allclose(one.logits, together.logits, atol=1e-3)
        assert torch.allclose(one.state, together.state, atol=1e-3)
