"""What runs a SAM 2 of an unknown build, against the fast path on a build that both know."""

import logging

import torch

from napari_sam2.models import load_model
from napari_sam2.models.sam2.attention import MemoryAttention
from napari_sam2.models.sam2.encoder import Encoder
from napari_sam2.models.sam2.plain import PlainEncoder, PlainMemoryAttention
from napari_sam2.session.session import Session
from tests.models.sam2.test_attention import GRID, N, random_memory
from tests.phantoms import ball, box_on
from tests.tiny_sam2 import tiny_config, tiny_network


def test_plain_and_fast_encoder_give_the_same_maps():
    network, images = tiny_network(), torch.rand(2, 1, 128, 128)
    with torch.inference_mode():
        fast = Encoder(network.vision_encoder, network.mask_decoder, 128)(images)
        plain = PlainEncoder(network.vision_encoder, network.mask_decoder)(images)
    for one, other in zip(fast, plain, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_plain_and_fast_memory_attention_give_the_same_features():
    network = tiny_network()
    top, position = torch.randn(3, 256, GRID, GRID), torch.randn(N, 1, 256)
    memories = [random_memory(1, 4), random_memory(5, 16), random_memory(2, 0)]
    with torch.inference_mode():
        fast = MemoryAttention(network.memory_attention, position)(top, memories)
        plain = PlainMemoryAttention(network.memory_attention, position)(top, memories)
    assert torch.allclose(plain, fast, atol=1e-4)


def test_an_unknown_build_is_run_by_transformers_with_a_warning(tmp_path, caplog):
    from transformers import Sam2VideoModel

    config = tiny_config(memory_attention_feed_forward_hidden_act="gelu")
    Sam2VideoModel(config).save_pretrained(tmp_path / "odd")
    with caplog.at_level(logging.WARNING):
        model = load_model(tmp_path / "odd", "cpu", quality="best")
    assert "odd is a SAM 2 of another build" in caplog.text
    volume, truth = ball((24, 24, 8), (12, 12, 4), (6, 6, 3))
    session = Session(volume, model, axis=2)
    session.add_prompt(1, box_on(truth, 2, 4))
    assert list(session.propagate([1]))
    assert len(session.objects[1].results) > 1
