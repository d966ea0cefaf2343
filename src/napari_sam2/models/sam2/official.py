"""Names and architecture of official SAM 2 checkpoints, for `napari_sam2.models.official`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["NETWORK", "config_of", "in_layers", "rename", "renamed", "with_points_joined"]

NETWORK: Final = "Sam2VideoModel"
"""The class of transformers."""

_MLP: Final = {2: ("proj_in", "proj_out"), 3: ("proj_in", "layers.0", "proj_out")}
"""How transformers calls the layers of a perceptron of two and of three layers."""

_NAMES: Final[tuple[tuple[str, str], ...]] = (
    # Image encoder
    (r"^image_encoder\.trunk\.patch_embed\.proj\.", "vision_encoder.backbone.patch_embed.projection."),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    # Memory
    (r"^memory_encoder\.mask_downsampler\.encoder\.12\.", "memory_encoder.mask_downsampler.final_conv."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"\.gamma$", ".scale"),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    # Prompt encoder
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    # Mask decoder
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    # Everywhere
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d?)\.", r".layer_norm\1."),
)
"""Official names on the left, of facebookresearch/sam2 at 2b90b9f (2024-12)."""

_TWO_LAYERS: Final = re.compile(r"((?:blocks|transformer\.layers)\.\d+\.mlp)\.layers\.(\d)\.")
_THREE_LAYERS: Final = re.compile(
    r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|object_pointer_proj)\.layers\.(\d)\."
)
_DOWNSAMPLER: Final = re.compile(r"mask_downsampler\.encoder\.(\d+)\.")
_POINTS: Final = "prompt_encoder.point_embeddings"

_GLOBAL_BLOCKS: Final = {12: [5, 7, 9], 16: [7, 10, 13], 24: [12, 16, 20], 48: [23, 33, 43]}
"""Blocks that attend over the whole grid, by the number of blocks: tiny, small, base-plus, large."""

_LARGE_WIDTH: Final = 144
"""Channels of the large encoder, the only one with windows of 16 instead of 14."""


def rename(name: str) -> str:
    """The name of a weight in transformers' `Sam2VideoModel`, of its official name."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    name = in_layers(_TWO_LAYERS.sub(lambda m: f"{m[1]}.{_MLP[2][int(m[2])]}.", name))
    # Convolution, norm, activation; and again.
    return _DOWNSAMPLER.sub(
        lambda m: f"mask_downsampler.layers.{int(m[1]) // 3}.{('conv', 'layer_norm')[int(m[1]) % 3]}.", name
    )


def in_layers(name: str) -> str:
    """The name of a weight of a three-layer perceptron in transformers."""
    return _THREE_LAYERS.sub(lambda m: f"{m[1]}.{_MLP[3][int(m[2])]}.", name)


def renamed(official: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Official weights under transformers' names.

    Raises
    ------
    ModelError
        If they are another network's.
    """
    return with_points_joined({rename(name): tensor for name, tensor in official.items()}, file, "SAM 2")


def with_points_joined(weights: dict[str, Tensor], file: str, family: str) -> dict[str, Tensor]:
    """Weights with the embeddings of points in one tensor.

    The encoding of places is there twice.

    Raises
    ------
    ModelError
        If there is no prompt encoder.
    """
    import torch

    points = [weights.pop(f"{_POINTS}.{n}.weight", None) for n in range(4)]
    position = weights.get("prompt_encoder.shared_embedding.positional_embedding")
    if position is None or any(point is None for point in points):
        raise ModelError(f"{file} is not an official {family} checkpoint: it has no prompt encoder.")
    weights["prompt_encoder.point_embed.weight"] = torch.cat([point for point in points if point is not None])
    weights["shared_image_embedding.positional_embedding"] = position.clone()
    return weights


def config_of(weights: Mapping[str, Tensor], file: str, input_size: int) -> Any:
    """The configuration of the network that these weights are of.

    The weights have transformers' names.

    Raises
    ------
    ModelError
        If there is no such network, or the input size is not possible.
    """
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoMaskDecoderConfig, Sam2VisionConfig
    from transformers import Sam2VideoPromptEncoderConfig as PromptConfig

    from napari_sam2.models.sam2.sizing import resize_config

    block = re.compile(r"vision_encoder\.backbone\.blocks\.(\d+)\.attn\.qkv\.weight")
    widths = {int(m[1]): int(w.shape[0]) // 3 for name, w in weights.items() if (m := block.fullmatch(name))}
    in_order = [widths[number] for number in sorted(widths)]
    stages = sorted(set(in_order))
    background = weights.get("vision_encoder.backbone.pos_embed")
    if len(in_order) not in _GLOBAL_BLOCKS or len(stages) != 4 or background is None:
        raise ModelError(f"{file} is not SAM 2 tiny, small, base-plus or large: it has {len(in_order)} blocks.")
    width = stages[0]
    heads = 1 if width == 96 else 2
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        num_attention_heads=heads,
        blocks_per_stage=[in_order.count(stage) for stage in stages],
        embed_dim_per_stage=stages,
        num_attention_heads_per_stage=[heads * 2**n for n in range(4)],
        global_attention_blocks=_GLOBAL_BLOCKS[len(in_order)],
        window_size_per_stage=[8, 4, 16, 8] if width == _LARGE_WIDTH else [8, 4, 14, 7],
        window_positional_embedding_background_size=list(background.shape[-2:]),
    )
    config = Sam2VideoConfig(
        vision_config=Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=stages[::-1]),
        prompt_encoder_config=PromptConfig(),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(),
        # What came with SAM 2.1; SAM 2 has neither.
        enable_occlusion_spatial_embedding="occlusion_spatial_embedding_parameter" in weights,
        enable_temporal_pos_encoding_for_object_pointers="temporal_positional_encoding_projection_layer.weight"
        in weights,
    )
    resize_config(config, input_size)
    return config
