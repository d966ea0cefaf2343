"""SAM 2's networks behind the engine's protocol.

The modules and weights are those of transformers' `Sam2VideoModel`; which slices serve as memory, and
when, is the engine's business. What one step computes follows Ravi et al., "SAM 2: Segment Anything in
Images and Videos" (2024) and equals the official predictor's for the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from napari_sam2.models.base import Decoded, ViewPolicy
from napari_sam2.models.sam2.attention import MemoryAttention, MemoryTokens
from napari_sam2.models.sam2.encoder import Encoder
from napari_sam2.models.sam2.kernels import pack_linear_modules
from napari_sam2.models.sam2.precision import Precision, half_of
from napari_sam2.models.sam2.prompting import (
    as_points,
    count_points,
    is_mask_only,
    no_points,
    resize,
    sine_1d,
    sine_position,
)
from napari_sam2.models.sam2.sizing import at_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest, Features, MemoryRef, ModelCard, RememberRequest

__all__ = ["Sam2Model"]

NO_OBJECT_LOGIT: Final = -1024.0
"""Mask logit that SAM 2's memory encoder was trained to see when the object is absent."""

PREVIOUS_LOGIT_LIMIT: Final = 32.0
"""The official predictor clamps earlier logits to this before it feeds them back with new clicks."""

MASK_SCALE: Final = 20.0
MASK_BIAS: Final = -10.0
"""Logits of a given mask: +10 inside, -10 outside, as in the official ``_use_mask_as_output``."""


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    """What one slice leaves behind: spatial features (H*W, 64) in bf16 and the object pointer (C,)."""

    features: Tensor
    pointer: Tensor


WHOLE_SLICE: Final = ViewPolicy(zoom=False)
"""How SAM 2 was trained."""


class Sam2Model:
    """A SAM 2 video model that answers the engine.

    Parameters
    ----------
    network : transformers.Sam2VideoModel
        In eval mode, on its device.
    card : ModelCard
        Who it is.
    policy : ViewPolicy
        What it looks at.
    half : bool
        Whether it multiplies in the narrow type that its device is good at, if there is one.
    """

    def __init__(
        self,
        network: Any,
        card: ModelCard,
        policy: ViewPolicy = WHOLE_SLICE,
        *,
        half: bool = False,
    ) -> None:
        self.network = network
        self.card = card
        self.view_policy = policy
        self.input_size: int = network.image_size
        self.max_memories: int = max(network.num_maskmem, network.config.max_object_pointers_in_encoder) - 1
        self._n_temporal: int = network.num_maskmem
        self.device: torch.device = next(network.parameters()).device
        grid = network.backbone_feature_sizes[-1]
        self._grid = (int(grid[0]), int(grid[1]))
        with torch.inference_mode():
            self._image_position = network.get_image_wide_positional_embeddings()
            memory_position = sine_position(network.memory_encoder, network.mem_dim, self._grid, self.device)
            # By temporal index: the encoding of place and of how many slices ago.
            self._memory_positions = [
                (memory_position + when).squeeze(1) for when in network.memory_temporal_positional_encoding
            ]
        pack_linear_modules(network)
        self._precision = Precision(self.device, half_of(self.device) if half else torch.float32)
        self._parts: dict[torch.dtype, tuple[Encoder, MemoryAttention]] = {}

    @property
    def dtype(self) -> torch.dtype:
        """The type it multiplies in."""
        return self._precision.dtype

    def at_size(self, size: int) -> Sam2Model:
        """The same weights, looking at views of another size."""
        if size == self.input_size:
            return self
        half = self._precision.dtype != torch.float32
        return Sam2Model(at_size(self.network, size), self.card, self.view_policy, half=half)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> list[Features]:
        """Features of views: two high-resolution maps for the mask decoder, and the top-level map."""
        fine, middle, top = self._precision.run(lambda: self._passes()[0](images), tuple)
        return [(fine[i], middle[i], top[i]) for i in range(len(images))]

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """Masks for requests: all of them through memory attention at once, then by number of prompt points."""
        return self._precision.run(lambda: self._decode(requests), lambda found: [d.logits for d in found])

    @torch.inference_mode()
    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """Memories of slices: mask and features fused by the memory encoder, with the object pointer."""
        return self._precision.run(lambda: self._remember(requests), lambda found: [m.features for m in found])

    def _passes(self) -> tuple[Encoder, MemoryAttention]:
        """Encoder and memory attention for the type that is multiplied in; built when first needed."""
        dtype = self._precision.dtype
        if dtype not in self._parts:
            network = self.network
            position = sine_position(network.vision_encoder.neck, network.hidden_dim, self._grid, self.device)
            self._parts = {
                dtype: (
                    Encoder(network.vision_encoder, network.mask_decoder, self.input_size, dtype),
                    MemoryAttention(network.memory_attention, position, dtype),
                )
            }
        return self._parts[dtype]

    def _decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        answers: dict[int, Decoded] = {}
        masks = [n for n, request in enumerate(requests) if is_mask_only(request)]
        others = [n for n, request in enumerate(requests) if not is_mask_only(request)]
        if masks:
            answers.update(zip(masks, self._use_masks([requests[n] for n in masks]), strict=True))
        if others:
            found = self._decode_conditioned([requests[n] for n in others])
            answers.update(zip(others, found, strict=True))
        return [answers[n] for n in range(len(requests))]

    def _remember(self, requests: Sequence[RememberRequest]) -> list[_Memory]:
        network, size = self.network, 4 * self.network.prompt_encoder.mask_input_size[0]
        masks = []
        for request in requests:
            present = request.decoded.object_score > 0
            logits = request.decoded.logits if present else torch.full_like(request.decoded.logits, NO_OBJECT_LOGIT)
            logits = resize(logits[None, None], size)
            masks.append((logits > 0).float() if request.prompted else logits.sigmoid())
        scaled = torch.cat(masks) * network.config.sigmoid_scale_for_mem_enc + network.config.sigmoid_bias_for_mem_enc
        top = torch.stack([request.features[2] for request in requests])
        features, _ = network.memory_encoder(top, scaled)
        if network.occlusion_spatial_embedding_parameter is not None:
            absent = torch.tensor([float(r.decoded.object_score <= 0) for r in requests], device=self.device)
            features = (
                features + absent.view(-1, 1, 1, 1) * network.occlusion_spatial_embedding_parameter[..., None, None]
            )
        # bf16 as in the official predictor: half the memory, and the same numbers.
        flat = features.to(torch.bfloat16).flatten(2).transpose(1, 2)
        return [_Memory(f, r.decoded.state) for f, r in zip(flat, requests, strict=True)]

    def _decode_conditioned(self, batch: Sequence[DecodeRequest]) -> list[Decoded]:
        top = self._conditioned(batch)
        groups: dict[tuple[int, bool], list[int]] = {}
        for number, request in enumerate(batch):
            n_points = count_points(request)
            groups.setdefault((n_points, self._wants_multimask(request, n_points)), []).append(number)
        answers: dict[int, Decoded] = {}
        for (_, multimask), numbers in groups.items():
            alike = [batch[n] for n in numbers]
            found = self._run_decoder(top[numbers], alike, *as_points(alike), self._dense(alike), multimask)
            answers.update(zip(numbers, found, strict=True))
        return [answers[n] for n in range(len(batch))]

    def _run_decoder(
        self,
        top: Tensor,
        batch: Sequence[DecodeRequest],
        points: Tensor,
        labels: Tensor,
        dense: Tensor,
        multimask: bool,
    ) -> list[Decoded]:
        network = self.network
        sparse, _ = network.prompt_encoder(points, labels, None, None)
        masks, ious, tokens, object_scores = network.mask_decoder(
            image_embeddings=top,
            image_positional_embeddings=self._image_position.expand(len(batch), -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[torch.stack([r.features[level] for r in batch]) for level in (0, 1)],
        )
        best = ious[:, 0].argmax(dim=1)
        rows = torch.arange(len(batch), device=self.device)
        token = tokens[:, 0, 0] if tokens.shape[2] == 1 else tokens[rows, 0, best]
        scores = object_scores[:, 0, 0]
        pointers = network.object_pointer_proj(token)
        pointers = torch.where(scores[:, None] > 0, pointers, network.no_object_pointer)
        chosen, chosen_iou = masks[rows, 0, best].float(), ious[rows, 0, best]
        return [
            Decoded(chosen[i], float(score), float(quality), pointers[i])
            for i, (score, quality) in enumerate(zip(scores.tolist(), chosen_iou.tolist(), strict=True))
        ]

    def _use_masks(self, batch: Sequence[DecodeRequest]) -> list[Decoded]:
        """Take given masks as the answer; the decoder is run only for the object pointer."""
        network = self.network
        given = torch.stack([r.prompts.mask for r in batch if r.prompts is not None and r.prompts.mask is not None])
        given = given[:, None]
        logits = resize(given * MASK_SCALE + MASK_BIAS, network.prompt_encoder.mask_input_size[0], antialias=True)
        top = torch.stack([r.features[2] for r in batch])
        points, labels = no_points(len(batch), self.device)
        dense = network.prompt_encoder.mask_embed(network.mask_downsample(given))
        pointed = self._run_decoder(top, batch, points, labels, dense, multimask=False)
        answers = []
        for mask, low, answer in zip(given, logits, pointed, strict=True):
            present = bool((mask > 0).any())
            pointer = answer.state if present else network.no_object_pointer[0]
            answers.append(Decoded(low[0], MASK_SCALE * present + MASK_BIAS, 1.0, pointer))
        return answers

    def _dense(self, batch: Sequence[DecodeRequest]) -> Tensor:
        """The dense prompts (B, C, h, w): a mask given with clicks, the answer that clicks correct, or none."""
        encoder = self.network.prompt_encoder
        size = encoder.mask_input_size[0]
        none = encoder.no_mask_embed.weight.view(-1, 1, 1).expand(-1, *self._grid)
        embeddings = []
        for request in batch:
            if request.prompts is not None and request.prompts.mask is not None:
                mask = resize(request.prompts.mask[None, None] * MASK_SCALE + MASK_BIAS, size, antialias=True)
                embeddings.append(encoder.mask_embed(mask)[0])
            elif request.previous is not None:
                earlier = resize(request.previous.logits[None, None], size)
                embeddings.append(encoder.mask_embed(earlier.clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT))[0])
            else:
                embeddings.append(none)
        return torch.stack(embeddings)

    def _wants_multimask(self, request: DecodeRequest, n_points: int) -> bool:
        config = self.network.config
        initial = request.prompts is not None and not request.memories
        return bool(
            config.multimask_output_in_sam
            and (initial or config.multimask_output_for_tracking)
            and config.multimask_min_pt_num <= n_points <= config.multimask_max_pt_num
        )

    def _conditioned(self, batch: Sequence[DecodeRequest]) -> Tensor:
        """Top-level features (B, C, h, w), conditioned on the memories where there are any."""
        top: Tensor = torch.stack([r.features[2] for r in batch])
        conditioned: Tensor = top + self.network.no_memory_embedding.view(1, -1, 1, 1)
        remembering = [
            n for n, r in enumerate(batch) if any(self._temporal_index(ref) is not None for ref in r.memories)
        ]
        if remembering:
            tokens = [self._tokens(batch[n]) for n in remembering]
            conditioned[remembering] = self._passes()[1](top[remembering], tokens).to(conditioned.dtype)
        return conditioned

    def _tokens(self, request: DecodeRequest) -> MemoryTokens:
        """What the request's object remembers."""
        # Official order: prompted slices as they were prompted, then tracked slices from far to near.
        # Attention does not depend on it.
        placed = [(ref, when) for ref in request.memories if (when := self._temporal_index(ref)) is not None]
        return MemoryTokens(
            [ref.memory.features for ref, _ in placed],
            [self._memory_positions[when] for _, when in placed],
            *self._pointers(request),
        )

    def _temporal_index(self, ref: MemoryRef) -> int | None:
        """Which temporal encoding a memory gets; None when it is too far back to be attended to."""
        if ref.prompted:
            return self._n_temporal - 1
        distance = -ref.offset
        return distance - 1 if 1 <= distance < self._n_temporal else None

    def _pointer_offsets(self, request: DecodeRequest) -> list[tuple[int, int]]:
        """(number in memories, slices passed since) of every memory whose object pointer is attended to."""
        limit = self._pointer_limit(request)
        return [
            (number, -ref.offset)
            for number, ref in enumerate(request.memories)
            if ref.offset <= 0 and (ref.prompted or -ref.offset < limit)
        ]

    def _pointer_limit(self, request: DecodeRequest) -> int:
        return min(request.n_slices, int(self.network.config.max_object_pointers_in_encoder))

    def _pointers(self, request: DecodeRequest) -> tuple[Tensor, Tensor]:
        """Object pointers, split into pieces of the memory's width, and their encodings of time; (P, 64) each."""
        network = self.network
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
