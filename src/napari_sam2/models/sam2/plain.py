"""SAM 2's encoder and memory attention as transformers runs them, for builds that the fast ones do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_sam2.models.sam2.attention import MemoryTokens

__all__ = ["PlainEncoder", "PlainMemoryAttention"]


class PlainEncoder:
    """Images in, three feature maps out, as `napari_sam2.models.sam2.encoder.Encoder`; in float32.

    Parameters
    ----------
    vision_encoder : transformers.Sam2VisionModel
        Whose modules are run.
    decoder : transformers.Sam2VideoMaskDecoder
        Its projections of the two finer maps belong to the encoder.
    """

    def __init__(self, vision_encoder: Any, decoder: Any) -> None:
        self._vision_encoder, self._decoder = vision_encoder, decoder
        device = next(vision_encoder.parameters()).device
        self._mean = torch.tensor(IMAGE_MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(IMAGE_STD, device=device).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature maps of images (B, C, S, S) in [0, 1]; C is 1 or 3."""
        pixels = (images.expand(-1, 3, -1, -1) - self._mean) / self._std
        fine, middle, top = self._vision_encoder(pixels, return_dict=True).fpn_hidden_states[:3]
        return self._decoder.conv_s0(fine), self._decoder.conv_s1(middle), top


class PlainMemoryAttention:
    """Conditions features on memories, as `napari_sam2.models.sam2.attention.MemoryAttention`; in float32.

    Parameters
    ----------
    module : transformers.Sam2VideoMemoryAttention
        Which is run, once per object, since objects remember different numbers of slices.
    position : Tensor, (h * w, 1, C)
        Fixed encoding of the grid of tokens.
    """

    def __init__(self, module: Any, position: Tensor) -> None:
        self._module, self._position = module, position

    def __call__(self, top: Tensor, memories: Sequence[MemoryTokens]) -> Tensor:
        """Features (B, C, h, w), each conditioned on the memories of its own."""
        conditioned = []
        for features, memory in zip(top, memories, strict=True):
            positions = torch.cat([*memory.grid_positions, memory.pointer_positions])
            tokens = self._module(
                current_vision_features=features.flatten(1).T[:, None],
                current_vision_position_embeddings=self._position,
                memory=memory.values()[:, None],
                memory_posision_embeddings=positions[:, None],  # transformers' spelling
                num_object_pointer_tokens=len(memory.pointers),
            )
            conditioned.append(tokens.reshape(features.shape[1], features.shape[2], -1).permute(2, 0, 1))
        return torch.stack(conditioned)
