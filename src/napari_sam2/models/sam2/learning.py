"""SAM 2 with gradients: the same steps, on modules that can learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.models.base import Decoded, ModelCard, RememberRequest
from napari_sam2.models.sam2.adapter import Sam2Model
from napari_sam2.models.sam2.plain import PlainEncoder, PlainMemoryAttention
from napari_sam2.models.sam2.prompting import sine_position
from napari_sam2.models.sam2.remembering import MemoryTokenBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest, ViewPolicy

__all__ = ["LearningSam2"]


class LearningSam2(Sam2Model):
    """A SAM 2 whose answers carry gradients.

    Parameters
    ----------
    network : transformers.Sam2VideoModel
        As it was read: not packed for inference.
    policy : ViewPolicy
        What it looks at.
    """

    def __init__(self, network: Any, policy: ViewPolicy) -> None:
        super().__init__(network, ModelCard("learning", "sam2"), policy)
        # Made again: what is made in inference mode cannot be learned through.
        self._image_position = self._image_position.clone()
        self._token_builder = MemoryTokenBuilder(network, self._memory_position().clone())
        self._scores: list[Tensor] = []

    def answer(self, requests: Sequence[DecodeRequest]) -> tuple[list[Decoded], Tensor]:
        """Masks for requests without masks of their own, and presence scores (B,).

        Logits, scores and object pointers carry gradients.
        """
        self._scores = []
        decoded = self._decode_conditioned(requests)
        (scores,) = self._scores
        return decoded, scores

    def memories(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """Memories of slices; gradients pass through the object pointers alone."""
        return [*self._remember(requests)]

    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """The three maps of `encode` for images (B, C, S, S).

        With gradients, where the encoder learns.
        """
        return self._make_encoder(self.dtype)(images)

    def _prepare(self) -> None:
        """Leave the network as it is: packed weights cannot learn."""

    def _answers(self, chosen: Tensor, chosen_iou: Tensor, scores: Tensor, pointers: Tensor) -> list[Decoded]:
        self._scores.append(scores)
        return super()._answers(chosen, chosen_iou.detach(), scores.detach(), pointers)

    def _make_encoder(self, dtype: torch.dtype) -> PlainEncoder:
        return PlainEncoder(self.network.vision_encoder, self.network.mask_decoder)

    def _make_attention(self, dtype: torch.dtype) -> PlainMemoryAttention:
        network = self.network
        position = sine_position(
            network.vision_encoder.neck.position_encoding, network.hidden_dim, self._grid, self.device
        )
        return PlainMemoryAttention(network.memory_attention, position)
