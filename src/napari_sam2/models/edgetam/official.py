"""Names and architecture of the official EdgeTAM checkpoint, for `napari_sam2.models.official`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.models.sam2 import official as sam2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["NETWORK", "config_of", "rename", "renamed"]

NETWORK: Final = "EdgeTamVideoModel"
"""The class of transformers."""

_NAMES: Final[tuple[tuple[str, str], ...]] = (
    (r"^image_encoder\.trunk\.body\.", "vision_encoder.backbone.timm_model."),
    (r"^(memory_attention\.layers\.\d+)\.linear1\.", r"\1.mlp.up_proj."),
    (r"^(memory_attention\.layers\.\d+)\.linear2\.", r"\1.mlp.down_proj."),
    (r"^spatial_perceiver\.latents$", "spatial_perceiver.latents_1d"),
    (r"^spatial_perceiver\.norm\.", "spatial_perceiver.layer_norm."),
    (r"^(spatial_perceiver\.layers\.\d+)\.attn\.norm_x\.", r"\1.layer_norm_input."),
    (r"^(spatial_perceiver\.layers\.\d+)\.attn\.norm_latents\.", r"\1.layer_norm_latents."),
    (r"^(spatial_perceiver\.layers\.\d+)\.self_attn\.norm\.", r"\1.layer_norm_self."),
    (r"^(spatial_perceiver\.layers\.\d+)\.attn\.", r"\1.cross_attention."),
    (r"^(spatial_perceiver\.layers\.\d+)\.self_attn\.", r"\1.self_attention."),
    (r"\.to_q\.", ".q_proj."),
    (r"\.to_out\.", ".o_proj."),
    (r"^(spatial_perceiver\.layers\.\d+)\.(self_)?ff\.0\.", r"\1.\2mlp.layer_norm."),
    (r"^(spatial_perceiver\.layers\.\d+)\.(self_)?ff\.1\.", r"\1.\2mlp.up_proj."),
    (r"^(spatial_perceiver\.layers\.\d+)\.(self_)?ff\.3\.", r"\1.\2mlp.down_proj."),
)
"""Official names on the left, of facebookresearch/EdgeTAM at 9cc44bf (2025); the rest is called as in SAM 2."""

_KEYS_AND_VALUES: Final = ".to_kv."
"""One layer in the official code, two in transformers."""


def rename(name: str) -> str:
    """The name of a weight in transformers' `EdgeTamVideoModel`, of its official name."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    # The image encoder's names are timm's on both sides.
    return name if name.startswith("vision_encoder.backbone.") else sam2.rename(name)


def renamed(official: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Official weights under transformers' names.

    Raises
    ------
    ModelError
        If they are another network's.
    """
    weights = {}
    for name, tensor in official.items():
        if _KEYS_AND_VALUES in name:
            key, value = tensor.chunk(2)
            weights[rename(name.replace(_KEYS_AND_VALUES, ".k_proj."))] = key
            weights[rename(name.replace(_KEYS_AND_VALUES, ".v_proj."))] = value
        else:
            weights[rename(name)] = tensor
    return sam2.with_points_joined(weights, file, "EdgeTAM")


def config_of(weights: Mapping[str, Tensor], file: str, input_size: int) -> Any:
    """The configuration of the network that these weights are of.

    The weights have transformers' names.

    Raises
    ------
    ModelError
        If the input size is not possible.
    """
    from napari_sam2.models.edgetam.loading import make_config

    grid = input_size // 16
    return make_config(
        {
            "image_size": input_size,
            "prompt_encoder_config": {"image_size": input_size},
            "vision_config": {"backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2]},
            "memory_attention_rope_feat_sizes": [grid, grid],
            "enable_occlusion_spatial_embedding": "occlusion_spatial_embedding_parameter" in weights,
            "enable_temporal_pos_encoding_for_object_pointers": "temporal_positional_encoding_projection_layer.weight"
            in weights,
        },
        file,
    )
