"""Our pass through the image encoder against that of transformers, on the same weights."""

import pytest
import torch

from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD, Encoder, supports
from tests.tiny_sam2 import tiny_network


def expected_maps(network, images):
    """What transformers computes from normalised images."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGE_MEAN, IMAGE_STD))
    pixels = (images.expand(-1, 3, -1, -1) - mean) / std
    maps = network.vision_encoder(pixels, return_dict=True).fpn_hidden_states
    return network.mask_decoder.conv_s0(maps[0]), network.mask_decoder.conv_s1(maps[1]), maps[2]


@pytest.mark.parametrize("size", [128, 224])
@pytest.mark.parametrize("channels", [1, 3])
def test_feature_maps_equal_those_of_transformers(size, channels):
    network = tiny_network(size)
    images = torch.rand(2, channels, size, size)
    with torch.inference_mode():
        expected = expected_maps(network, images)
        found = Encoder(network.vision_encoder, network.mask_decoder, size)(images)
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.std() > 0.01
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_window_rows_taken_a_few_at_a_time_change_nothing(monkeypatch):
    network = tiny_network(224)
    images = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        encoder = Encoder(network.vision_encoder, network.mask_decoder, 224)
        monkeypatch.setattr("napari_sam2.models.sam2.encoder.TOKENS_IN_CACHE", 1 << 30)
        whole = encoder(images)
        monkeypatch.setattr("napari_sam2.models.sam2.encoder.TOKENS_IN_CACHE", 1)
        banded = encoder(images)
    for one, other in zip(whole, banded, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_another_architecture_is_not_taken_for_hiera():
    network = tiny_network(128)
    assert supports(network.vision_encoder)
    network.vision_encoder.config.fpn_top_down_levels = [1, 2, 3]
    assert not supports(network.vision_encoder)
