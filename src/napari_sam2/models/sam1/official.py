"""Names and architecture of official checkpoints of the first SAM, for `napari_sam2.models.official`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError
from napari_sam2.models.sam2.official import in_layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["NETWORK", "config_of", "preparation_of", "rename", "renamed"]

NETWORK: Final = "SamModel"
"""The class of transformers."""

_NAMES: Final[tuple[tuple[str, str], ...]] = (
    (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
)
"""Official names on the left, of facebookresearch/segment-anything."""

_CONSTANTS: Final = ("pixel_mean", "pixel_std")
"""What some files hold besides weights; transformers keeps it in ``preprocessor_config.json``."""

_ENCODERS: Final = {12: (12, [2, 5, 8, 11]), 24: (16, [5, 11, 17, 23]), 32: (16, [7, 15, 23, 31])}
"""Heads and blocks that attend over the whole grid, by the number of blocks: ViT-B, ViT-L, ViT-H."""


def rename(name: str) -> str:
    """The name of a weight in transformers' `SamModel`, of its official name."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return in_layers(name)


def renamed(official: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Official weights under transformers' names.

    Raises
    ------
    ModelError
        If they are another network's.
    """
    weights = {rename(name): tensor for name, tensor in official.items() if name not in _CONSTANTS}
    position = weights.get("prompt_encoder.shared_embedding.positional_embedding")
    if position is None:
        raise ModelError(f"{file} is not an official SAM checkpoint: it has no prompt encoder.")
    weights["shared_image_embedding.positional_embedding"] = position.clone()
    return weights


def config_of(weights: Mapping[str, Tensor], file: str, input_size: int) -> Any:
    """The configuration of the network that these weights are of.

    The weights have transformers' names.

    Raises
    ------
    ModelError
        If there is no such network.
    """
    from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

    block = re.compile(r"vision_encoder\.layers\.(\d+)\.attn\.proj\.weight")
    widths = {int(m[1]): int(w.shape[0]) for name, w in weights.items() if (m := block.fullmatch(name))}
    if len(widths) not in _ENCODERS:
        raise ModelError(f"{file} is not SAM ViT-B, ViT-L or ViT-H: its image encoder has {len(widths)} blocks.")
    heads, over_the_grid = _ENCODERS[len(widths)]
    vision = SamVisionConfig(
        hidden_size=widths[0],
        num_hidden_layers=len(widths),
        num_attention_heads=heads,
        global_attn_indexes=over_the_grid,
        image_size=input_size,
    )
    return SamConfig(
        vision_config=vision,
        prompt_encoder_config=SamPromptEncoderConfig(image_size=input_size),
        # Meta's decoder has PyTorch's default; transformers' own default is 1e-6, which shifts logits by 1e-3.
        mask_decoder_config=SamMaskDecoderConfig(layer_norm_eps=1e-5),
    )


def preparation_of(file: str) -> dict[str, object]:
    """What ``preprocessor_config.json`` says of a checkpoint.

    MedSAM, known by its file's name, sees intensities as they are.
    """
    return {"do_normalize": "medsam" not in file.lower()}
