from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sam2.models.base import ModelCard
from napari_sam2.models.sam2.adapter import Sam2Model
from tests.engine.parity_weights import make_weights

PARITY = Path(__file__).parents[1] / "data" / "parity" / "official_tiny_128px.npz"


@pytest.fixture(scope="session")
def official() -> dict[str, np.ndarray]:
    with np.load(PARITY) as stored:
        return dict(stored)


@pytest.fixture(scope="session")
def tiny_sam2(official: dict[str, np.ndarray]) -> Sam2Model:
    """SAM 2.1 tiny's architecture at 128 px, with the weights of the parity reference."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig
    from transformers import Sam2VideoPromptEncoderConfig as PromptConfig

    vision = Sam2VisionConfig(
        backbone_config=Sam2HieraDetConfig(image_size=[128, 128]), backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]]
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=PromptConfig(image_size=128),
        image_size=128,
        memory_attention_rope_feat_sizes=[8, 8],
    )
    with torch.device("meta"):
        shapes = Sam2VideoModel(config).state_dict()
    network = Sam2VideoModel(config).eval()
    network.load_state_dict(make_weights(shapes, [official[f"override_{head}"] for head in range(4)]))
    return Sam2Model(network, ModelCard("parity", "sam2"))
