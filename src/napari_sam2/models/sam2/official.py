"""Convert official SAM 2 checkpoints (``.pt``) to folders that `load_sam2` reads.

Meta's files and those of models fine-tuned with Meta's code, MedSAM2 among them, hold a dictionary with the
weights under ``"model"``. They are pickles, which can run code when they are opened: they are read with
``weights_only=True``, which admits tensors and plain containers only, and never in any other way.

The architecture is read off the weights; what they cannot tell is the input size.
"""

from __future__ import annotations

import json
import pickle
import re
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import ModelError
from napari_sam2.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

__all__ = ["convert_official", "rename"]

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
    name = _TWO_LAYERS.sub(lambda m: f"{m[1]}.{_MLP[2][int(m[2])]}.", name)
    name = _THREE_LAYERS.sub(lambda m: f"{m[1]}.{_MLP[3][int(m[2])]}.", name)
    # Convolution, norm, activation; and again.
    return _DOWNSAMPLER.sub(
        lambda m: f"mask_downsampler.layers.{int(m[1]) // 3}.{('conv', 'layer_norm')[int(m[1]) % 3]}.", name
    )


def convert_official(path: Path, folder: Path, *, input_size: int = 1024, license_id: str = "") -> Path:
    """Write a checkpoint in transformers' format from an official ``.pt`` file.

    Parameters
    ----------
    path : Path
        The official file.
    folder : Path
        Where ``config.json``, ``model.safetensors`` and ``manifest.json`` go; made if missing.
    input_size : int
        Side in pixels that the model was trained for.
    license_id : str
        SPDX identifier of the weights' licence, recorded in the manifest.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    ModelError
        If the file holds more than weights, or weights of another network.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import Sam2VideoModel

    from napari_sam2.models.sam2.sizing import resize_config

    weights = _renamed(_read(path), path.name)
    config = _config(weights, path.name)
    resize_config(config, input_size)
    with torch.device("meta"):
        expected = Sam2VideoModel(config).state_dict()
    _refuse_misfit(path.name, expected, weights)
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    hashes = {file: sha256_of(folder / file) for file in ("config.json", "model.safetensors")}
    manifest = {
        "name": folder.name,
        "revision": "",
        "source": {"file": path.name, "sha256": sha256_of(path)},
        "license": license_id,
        "sha256": hashes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return folder


def _read(path: Path) -> Mapping[str, Any]:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights and could run code when it is opened; it was not opened. "
            f"Ask for a file with weights alone."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"{path.name} cannot be read as a checkpoint ({type(error).__name__}).") from error
    inner = found.get("model", found) if isinstance(found, dict) else None
    if not isinstance(inner, dict) or not inner or not all(isinstance(v, torch.Tensor) for v in inner.values()):
        raise ModelError(f"{path.name} holds no weights of SAM 2, neither at its top nor under 'model'.")
    return inner


def _renamed(official: Mapping[str, Any], file: str) -> dict[str, Tensor]:
    import torch

    weights = {rename(name): tensor.detach().float() for name, tensor in official.items()}
    points = [weights.pop(f"{_POINTS}.{n}.weight", None) for n in range(4)]
    position = weights.get("prompt_encoder.shared_embedding.positional_embedding")
    if position is None or any(point is None for point in points):
        raise ModelError(f"{file} is not an official SAM 2 checkpoint: it has no prompt encoder.")
    weights["prompt_encoder.point_embed.weight"] = torch.cat([point for point in points if point is not None])
    weights["shared_image_embedding.positional_embedding"] = position.clone()
    return weights


def _config(weights: Mapping[str, Tensor], file: str) -> Any:
    """The configuration of the network that these weights are of."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoMaskDecoderConfig, Sam2VisionConfig
    from transformers import Sam2VideoPromptEncoderConfig as PromptConfig

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
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=stages[::-1]),
        prompt_encoder_config=PromptConfig(),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(),
        # What came with SAM 2.1; SAM 2 has neither.
        enable_occlusion_spatial_embedding="occlusion_spatial_embedding_parameter" in weights,
        enable_temporal_pos_encoding_for_object_pointers="temporal_positional_encoding_projection_layer.weight"
        in weights,
    )


def _refuse_misfit(file: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    misshapen = sorted(n for n in expected.keys() & found.keys() if expected[n].shape != found[n].shape)
    faults = [
        f"{what} {len(names)} weights such as {names[0]}"
        for what, names in (("misses", missing), ("has unexpected", surplus), ("misshapes", misshapen))
        if names
    ]
    if faults:
        raise ModelError(f"{file} does not fit SAM 2: it {' and '.join(faults)}; it is not used.")
