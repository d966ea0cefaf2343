"""Half precision is scoped, and given up when numbers stop being finite."""

import logging

import pytest
import torch

from napari_sam2.models.base import DecodeRequest, ModelCard, ViewPrompts
from napari_sam2.models.sam2.adapter import Sam2Model
from napari_sam2.models.sam2.precision import Precision, half_of
from tests.tiny_sam2 import tiny_network


def test_finite_answers_are_kept_in_the_narrow_type():
    precision = Precision(torch.device("meta"), torch.float32)
    precision.dtype = torch.float16
    precision.device = torch.device("cpu")
    assert precision.run(lambda: torch.ones(3), lambda t: [t]).sum() == 3
    assert precision.dtype == torch.float16


def test_numbers_that_are_not_finite_are_computed_again_in_float32(caplog):
    precision = Precision(torch.device("cpu"), torch.bfloat16)

    def work():
        return torch.tensor([float("nan") if precision.dtype == torch.bfloat16 else 2.0])

    with caplog.at_level(logging.WARNING):
        assert precision.run(work, lambda t: [t]).item() == 2.0
    assert precision.dtype == torch.float32
    assert "not finite in torch.bfloat16" in caplog.text


def test_autocast_ends_with_the_call_even_when_it_fails(monkeypatch):
    precision = Precision(torch.device("cuda"), torch.bfloat16)
    monkeypatch.setattr(precision, "_autocast", lambda: torch.autocast("cpu", torch.bfloat16))
    product = precision.run(lambda: torch.ones(4, 4) @ torch.ones(4, 4), lambda t: [t])
    assert product.dtype == torch.bfloat16
    with pytest.raises(ZeroDivisionError):
        precision.run(lambda: 1 / 0, lambda _: [])
    assert not torch.is_autocast_enabled("cpu")


def test_a_model_in_autocast_answers_close_to_full_precision(monkeypatch):
    network = tiny_network(128)
    model = Sam2Model(network, ModelCard("tiny", "sam2"))
    torch.manual_seed(0)
    image, prompts = torch.rand(1, 1, 128, 128), ViewPrompts(torch.tensor([[60.0, 50.0]]), torch.tensor([True]))
    exact = model.decode([DecodeRequest(model.encode(image)[0], prompts)])[0]
    monkeypatch.setattr(model._precision, "_autocast", lambda: torch.autocast("cpu", torch.bfloat16))
    narrow = model.decode([DecodeRequest(model.encode(image)[0], prompts)])[0]
    assert narrow.logits.dtype == torch.float32
    assert 0 < (narrow.logits - exact.logits).abs().max() < 0.1 * exact.logits.std()


@pytest.mark.skipif(half_of(torch.device("cpu")) == torch.float32, reason="this CPU has no bfloat16")
def test_a_model_in_bfloat16_on_a_cpu_answers_close_to_full_precision():
    network = tiny_network(128)
    exact, narrow = (Sam2Model(network, ModelCard("tiny", "sam2"), half=half) for half in (False, True))
    torch.manual_seed(0)
    image, prompts = torch.rand(1, 1, 128, 128), ViewPrompts(torch.tensor([[60.0, 50.0]]), torch.tensor([True]))
    one, other = (m.decode([DecodeRequest(m.encode(image)[0], prompts)])[0] for m in (exact, narrow))
    assert 0 < (one.logits - other.logits).abs().max() < 0.1 * one.logits.std()


def test_a_processor_without_half_precision_keeps_float32():
    assert half_of(torch.device("mps")) == torch.float32
