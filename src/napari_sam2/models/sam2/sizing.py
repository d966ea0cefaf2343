"""The same weights at another input size."""

from __future__ import annotations

import copy
from typing import Any

from napari_sam2.errors import ModelError

__all__ = ["at_size", "resize_config"]


def resize_config(config: Any, size: int) -> None:
    """Let a configuration describe views of another size.

    Weights do not depend on it.

    Raises
    ------
    ModelError
        If the size is not a multiple of 32, or below 64.
    """
    if size % 32 or size < 64:
        raise ModelError(f"The input size must be a multiple of 32, at least 64; got {size}.")
    grid = size // config.prompt_encoder_config.patch_size
    config.image_size = size
    config.prompt_encoder_config.image_size = size
    config.vision_config.backbone_config.image_size = [size, size]
    config.vision_config.backbone_feature_sizes = [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2]
    config.memory_attention_rope_feat_sizes = [grid, grid]


def at_size(network: Any, size: int) -> Any:
    """A network of another input size that shares the weights of `network`.

    Raises
    ------
    ModelError
        If the size is not possible.
    """
    shared = {id(parameter): parameter for parameter in network.parameters()}
    resized = copy.deepcopy(network, shared)
    resize_config(resized.config, size)
    grid = size // resized.config.prompt_encoder_config.patch_size
    resized.image_size = size
    resized.backbone_feature_sizes = resized.config.vision_config.backbone_feature_sizes
    prompts = resized.prompt_encoder
    prompts.image_embedding_size = (grid, grid)
    prompts.mask_input_size = (4 * grid, 4 * grid)
    prompts.input_image_size = size
    attention = resized.memory_attention
    attention.position_ids = attention.precompute_positions(resized.config).to(attention.position_ids.device)
    return resized
