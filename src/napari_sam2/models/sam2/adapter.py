"""SAM 2 and SAM 2.1 behind the engine's protocol.

On the weights of transformers' `Sam2VideoModel`.
"""

from __future__ import annotations

import torch

from napari_sam2.models.sam2.attention import MemoryAttention
from napari_sam2.models.sam2.attention import supports as supports_attention
from napari_sam2.models.sam2.encoder import Encoder
from napari_sam2.models.sam2.encoder import supports as supports_encoder
from napari_sam2.models.sam2.plain import PlainEncoder, PlainMemoryAttention
from napari_sam2.models.sam2.prompting import sine_position
from napari_sam2.models.sam2.sizing import at_size
from napari_sam2.models.sam2.video import VideoModel

__all__ = ["Sam2Model"]


class Sam2Model(VideoModel):
    """A SAM 2 video model; parameters as in `VideoModel`."""

    def at_size(self, size: int) -> Sam2Model:
        """The same weights, looking at views of another size."""
        if size == self.input_size:
            return self
        half = self.dtype != torch.float32
        return Sam2Model(at_size(self.network, size), self.card, self.view_policy, half=half)

    def _make_encoder(self, dtype: torch.dtype) -> Encoder | PlainEncoder:
        if not supports_encoder(self.network.vision_encoder):
            return PlainEncoder(self.network.vision_encoder, self.network.mask_decoder)
        return Encoder(self.network.vision_encoder, self.network.mask_decoder, self.input_size, dtype)

    def _make_attention(self, dtype: torch.dtype) -> MemoryAttention | PlainMemoryAttention:
        network = self.network
        position = sine_position(
            network.vision_encoder.neck.position_encoding, network.hidden_dim, self._grid, self.device
        )
        if not supports_attention(network.memory_attention):
            return PlainMemoryAttention(network.memory_attention, position)
        return MemoryAttention(network.memory_attention, position, dtype)
