"""The weights of the parity reference: every tensor is made from its own name."""

from __future__ import annotations

import zlib

import numpy as np
import torch


def make_weights(state: dict[str, torch.Tensor], overrides: list[np.ndarray]) -> dict[str, torch.Tensor]:
    weights = {name: torch.from_numpy(_tensor(name, tuple(value.shape))) for name, value in state.items()}
    for head, bias in enumerate(overrides):
        mlp = f"mask_decoder.output_hypernetworks_mlps.{head}.proj_out"
        weights[f"{mlp}.weight"] *= 2
        weights[f"{mlp}.bias"] = torch.from_numpy(bias)
    return weights


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    # Both copies of the random Fourier matrix are the same in every official checkpoint.
    source = name.replace("shared_image_embedding.", "prompt_encoder.shared_embedding.")
    noise = np.random.default_rng(zlib.crc32(source.encode())).standard_normal(shape).astype(np.float32)
    if "layer_norm" in name and name.endswith("weight"):
        return 1 + 0.1 * noise
    if name.endswith("bias"):
        present = 6.0 if name == "mask_decoder.pred_obj_score_head.proj_out.bias" else 0.0
        return np.float32(0.05) * noise + np.float32(present)
    if name.endswith("scale"):
        return np.float32(0.3) + np.float32(0.05) * noise
    if name.endswith("positional_embedding"):
        return noise
    if len(shape) >= 2 and name.endswith("weight"):
        return noise / np.float32(np.sqrt(np.prod(shape[1:])))
    return np.float32(0.1) * noise
