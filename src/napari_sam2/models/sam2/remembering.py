"""Memory tokens of an object, with their encodings of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_sam2.models.sam2.attention import MemoryTokens
from napari_sam2.models.sam2.prompting import sine_1d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest, MemoryRef

__all__ = ["Memory", "MemoryTokenBuilder"]


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What one slice leaves behind.

    Tokens (N, 64) of the view and the object pointer (C,).
    """

    features: Tensor
    pointer: Tensor


class MemoryTokenBuilder:
    """Chooses among the memories of a request, and places them in time.

    Parameters
    ----------
    network : transformers.Sam2VideoModel, or one built like it
        Whose encodings of time are used.
    position : Tensor, (N, 64)
        Encoding of place of the tokens of one memory.
    """

    def __init__(self, network: Any, position: Tensor) -> None:
        self._network = network
        self._n_temporal: int = network.num_maskmem
        self.device = position.device
        # By temporal index: the encoding of place and of how many slices ago.
        self._positions = [
            position + when.reshape(1, -1) for when in network.memory_temporal_positional_encoding.detach()
        ]

    def tokens(self, request: DecodeRequest) -> MemoryTokens | None:
        """What the request's object remembers.

        None when nothing is near enough to be attended to.
        """
        # Official order: prompted slices as they were prompted, then tracked slices from far to near.
        # Attention does not depend on it.
        chosen = self._chosen_prompted(request.memories)
        placed = [
            (ref, when)
            for number, ref in enumerate(request.memories)
            if (when := self._temporal_index(ref, number in chosen)) is not None
        ]
        if not placed:
            return None
        return MemoryTokens(
            [ref.memory.features for ref, _ in placed],
            [self._positions[when] for _, when in placed],
            *self._pointers(request),
        )

    def _chosen_prompted(self, memories: Sequence[MemoryRef]) -> set[int]:
        """Numbers of the prompted slices that are attended to as such: all, or as many as the network allows.

        The nearest on either side come first, then the nearest of all, as in ``select_closest_cond_frames``.
        """
        prompted = [number for number, ref in enumerate(memories) if ref.prompted]
        limit = int(self._network.config.max_cond_frame_num)
        if limit < 0 or len(prompted) <= limit:
            return set(prompted)
        nearest = sorted(prompted, key=lambda number: abs(memories[number].offset))
        passed = next((number for number in nearest if memories[number].offset < 0), None)
        ahead = next((number for number in nearest if memories[number].offset >= 0), None)
        first = [number for number in (passed, ahead) if number is not None]
        return set([*first, *(number for number in nearest if number not in first)][:limit])

    def _temporal_index(self, ref: MemoryRef, as_prompted: bool) -> int | None:
        """Which temporal encoding a memory gets; None when it is too far back to be attended to."""
        if as_prompted:
            return self._n_temporal - 1
        distance = -ref.offset
        return distance - 1 if 1 <= distance < self._n_temporal else None

    def _pointer_limit(self, request: DecodeRequest) -> int:
        return min(request.n_slices, int(self._network.config.max_object_pointers_in_encoder))

    def _pointer_offsets(self, request: DecodeRequest) -> list[tuple[int, int]]:
        """(number in memories, slices passed since) of every memory whose object pointer is attended to."""
        limit = self._pointer_limit(request)
        return [
            (number, -ref.offset)
            for number, ref in enumerate(request.memories)
            if ref.offset <= 0 and (ref.prompted or -ref.offset < limit)
        ]

    def _pointers(self, request: DecodeRequest) -> tuple[Tensor, Tensor]:
        """Object pointers, split into pieces of the memory's width, and their encodings of time; (P, 64) each."""
        network = self._network
        offsets = self._pointer_offsets(request)
        width = network.mem_dim
        if not offsets:
            empty = torch.zeros(0, width, device=self.device)
            return empty, empty
        limit = self._pointer_limit(request)
        pieces = network.hidden_dim // width
        pointers = torch.cat([request.memories[i].memory.pointer.view(pieces, width) for i, _ in offsets])
        if not network.config.enable_temporal_pos_encoding_for_object_pointers:
            return pointers, torch.zeros_like(pointers)
        distance = torch.tensor([float(d) for _, d in offsets], device=self.device) / max(limit - 1, 1)
        encoded = network.temporal_positional_encoding_projection_layer(sine_1d(distance, network.hidden_dim))
        return pointers, encoded.repeat_interleave(pieces, dim=0)
