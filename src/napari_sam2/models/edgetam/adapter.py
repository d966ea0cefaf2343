"""EdgeTAM behind the engine's protocol, on the weights of transformers' `EdgeTamVideoModel`.

EdgeTAM is SAM 2 with a small convolutional image encoder and memories of 512 tokens instead of 4096: half of
them see the whole slice, half one square each of a grid of 16 x 16. Zhou et al., "EdgeTAM: On-device track
anything model", CVPR 2025.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from napari_sam2.models.edgetam.repvit import fold
from napari_sam2.models.sam2.attention import MemoryAttention, Turn
from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD, Neck
from napari_sam2.models.sam2.prompting import sine_position
from napari_sam2.models.sam2.video import VideoModel

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

__all__ = ["EdgeTamModel"]


class EdgeTamModel(VideoModel):
    """An EdgeTAM video model; parameters as in `VideoModel`, with a `transformers.EdgeTamVideoModel`.

    Its memories lie on a grid that the network was trained with, so that it answers at one input size only.
    """

    def _make_encoder(self, dtype: torch.dtype) -> _Encoder:
        return _Encoder(self.network.vision_encoder, self.network.mask_decoder, dtype)

    def _make_attention(self, dtype: torch.dtype) -> MemoryAttention:
        network = self.network
        position = sine_position(
            network.vision_encoder.neck.position_encoding, network.hidden_dim, self._grid, self.device
        )
        module = network.memory_attention
        turn_memory = Turn(module, module.position_ids_k, network.spatial_perceiver.num_latents_1d)
        return MemoryAttention(module, position, dtype, turn_memory)

    def _memory_position(self) -> Tensor:
        perceiver = self.network.spatial_perceiver
        side = round(perceiver.num_latents_2d**0.5)
        squares = sine_position(perceiver.positional_encoding, self.network.mem_dim, (side, side), self.device).squeeze(
            1
        )
        return torch.cat([squares.new_zeros(perceiver.num_latents_1d, squares.shape[1]), squares])

    def _as_tokens(self, features: Tensor) -> Tensor:
        position = super()._memory_position().T.reshape(1, -1, *self._grid)
        # transformers 5.23 cannot take several at a time: it views its latents in a way that only one allows.
        return torch.cat([self.network.spatial_perceiver(one[None], position)[0] for one in features])


class _Encoder:
    """Images in, three feature maps out, as `napari_sam2.models.sam2.encoder.Encoder`."""

    def __init__(self, vision_encoder: Any, decoder: Any, dtype: torch.dtype) -> None:
        self._backbone = copy.deepcopy(vision_encoder.backbone.timm_model)
        fold(self._backbone)
        self._backbone.to(memory_format=torch.channels_last)
        self._neck = Neck(vision_encoder.neck, decoder, dtype)
        device = next(vision_encoder.parameters()).device
        self._mean = torch.tensor(IMAGE_MEAN, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(IMAGE_STD, device=device).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pixels = ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        return self._neck([stage.permute(0, 2, 3, 1) for stage in self._backbone(pixels)])
