"""The tracker of SAM 3 behind the engine's protocol.

On the weights of transformers' `Sam3TrackerVideoModel`.

It is SAM 2 with a large vision transformer as its image encoder, and patches of 14 pixels instead of 16.
"SAM 3: Segment anything with concepts" (2025). Its detector, which finds objects by words, is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam2.models.sam2.attention import MemoryAttention
from napari_sam2.models.sam2.prompting import sine_position
from napari_sam2.models.sam2.video import VideoModel

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "Sam3Tracker"]

IMAGE_MEAN: Final = 0.5
IMAGE_STD: Final = 0.5
"""Of every channel, as in transformers' ``Sam3ImageProcessor``."""


class Sam3Tracker(VideoModel):
    """A SAM 3 tracker; parameters as in `VideoModel`, with a `transformers.Sam3TrackerVideoModel`.

    The positions of its image encoder are those of one input size, so that it answers at that size only.
    """

    def _make_encoder(self, dtype: torch.dtype) -> Callable[[Tensor], tuple[Tensor, ...]]:
        network = self.network

        def encode(images: Tensor) -> tuple[Tensor, ...]:
            pixels = ((images - IMAGE_MEAN) / IMAGE_STD).expand(-1, 3, -1, -1)
            fine, middle, top = network.vision_encoder(pixels, return_dict=True).fpn_hidden_states[:3]
            return network.mask_decoder.conv_s0(fine), network.mask_decoder.conv_s1(middle), top

        return encode

    def _make_attention(self, dtype: torch.dtype) -> MemoryAttention:
        network = self.network
        encoding = network.vision_encoder.neck.position_encoding
        return MemoryAttention(
            network.memory_attention, sine_position(encoding, network.hidden_dim, self._grid, self.device), dtype
        )
