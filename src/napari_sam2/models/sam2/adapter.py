"""SAM 2's networks behind the engine's protocol.

The modules and weights are those of transformers' `Sam2VideoModel`; which slices serve as memory, and
when, is the engine's business. What one step computes follows Ravi et al., "SAM 2: Segment Anything in
Images and Videos" (2024) and equals the official predictor's for the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from napari_sam2.models.base import Decoded, ViewPolicy

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest, Features, MemoryRef, ModelCard, RememberRequest

__all__ = ["Sam2Model"]

IMAGE_MEAN: Final = (0.485, 0.456, 0.406)
IMAGE_STD: Final = (0.229, 0.224, 0.225)
"""ImageNet's statistics, with which SAM 2 was trained."""

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


class Sam2Model:
    """A SAM 2 video model that answers the engine.

    Parameters
    ----------
    network : transformers.Sam2VideoModel
        In eval mode, on its device.
    card : ModelCard
        Who it is.
    """

    def __init__(self, network: Any, card: ModelCard) -> None:
        self.network = network
        self.card = card
        self.view_policy = ViewPolicy(zoom=False)
        self.input_size: int = network.image_size
        self.max_memories: int = max(network.num_maskmem, network.config.max_object_pointers_in_encoder) - 1
        self._n_temporal: int = network.num_maskmem
        self.device: torch.device = next(network.parameters()).device
        self._mean = torch.tensor(IMAGE_MEAN, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(IMAGE_STD, device=self.device).view(1, 3, 1, 1)
        grid = network.backbone_feature_sizes[-1]
        self._grid = (int(grid[0]), int(grid[1]))
        with torch.inference_mode():
            self._image_position = network.get_image_wide_positional_embeddings()
            self._token_position = _sine_position(
                network.vision_encoder.neck, network.hidden_dim, self._grid, self.device
            )
            self._memory_position = _sine_position(network.memory_encoder, network.mem_dim, self._grid, self.device)

    def encode(self, images: Tensor) -> list[Features]:
        """Features of views: two high-resolution maps for the mask decoder, and the top-level map."""
        pixels = (images.expand(-1, 3, -1, -1) - self._mean) / self._std
        maps = self.network.vision_encoder(pixels, return_dict=True).fpn_hidden_states
        decoder = self.network.mask_decoder
        fine, middle, top = decoder.conv_s0(maps[0]), decoder.conv_s1(maps[1]), maps[2]
        return [(fine[i], middle[i], top[i]) for i in range(len(images))]

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """Masks for requests; those of like structure are answered in one forward pass."""
        answers: list[Decoded | None] = [None] * len(requests)
        groups: dict[Hashable, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(self._structure(request), []).append(number)
        for numbers in groups.values():
            batch = [requests[n] for n in numbers]
            found = self._use_masks(batch) if _is_mask_only(batch[0]) else self._decode_alike(batch)
            for number, answer in zip(numbers, found, strict=True):
                answers[number] = answer
        return [answer for answer in answers if answer is not None]

    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """Memories of slices: mask and features fused by the memory encoder, with the object pointer."""
        network, size = self.network, 4 * self.network.prompt_encoder.mask_input_size[0]
        masks = []
        for request in requests:
            present = request.decoded.object_score > 0
            logits = request.decoded.logits if present else torch.full_like(request.decoded.logits, NO_OBJECT_LOGIT)
            logits = _resize(logits[None, None], size)
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

    def _structure(self, request: DecodeRequest) -> Hashable:
        """Requests of the same structure have tensors of the same shapes."""
        prompts = request.prompts
        return (
            _is_mask_only(request),
            None if prompts is None else (len(prompts.points), prompts.box is not None, prompts.mask is not None),
            request.previous is not None,
            tuple(self._temporal_index(ref) for ref in request.memories),
            tuple(self._pointer_offsets(request)),
            request.n_slices,
        )

    def _decode_alike(self, batch: Sequence[DecodeRequest]) -> list[Decoded]:
        points, labels = _as_points(batch)
        n_points = 0 if batch[0].prompts is None else points.shape[2]
        return self._run_decoder(
            top=self._conditioned(batch),
            batch=batch,
            points=points,
            labels=labels,
            mask=self._mask_input(batch),
            multimask=self._wants_multimask(batch[0], n_points),
        )

    def _run_decoder(
        self,
        top: Tensor,
        batch: Sequence[DecodeRequest],
        points: Tensor,
        labels: Tensor,
        mask: Tensor | None,
        multimask: bool,
    ) -> list[Decoded]:
        network = self.network
        sparse, dense = network.prompt_encoder(points, labels, None, mask)
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
        logits = _resize(given * MASK_SCALE + MASK_BIAS, network.prompt_encoder.mask_input_size[0], antialias=True)
        top = torch.stack([r.features[2] for r in batch])
        points, labels = _no_points(len(batch), self.device)
        pointed = self._run_decoder(top, batch, points, labels, network.mask_downsample(given), multimask=False)
        answers = []
        for mask, low, answer in zip(given, logits, pointed, strict=True):
            present = bool((mask > 0).any())
            pointer = answer.state if present else network.no_object_pointer[0]
            answers.append(Decoded(low[0], MASK_SCALE * present + MASK_BIAS, 1.0, pointer))
        return answers

    def _mask_input(self, batch: Sequence[DecodeRequest]) -> Tensor | None:
        """The dense prompt: a mask given together with clicks, or the answer that clicks correct."""
        size = self.network.prompt_encoder.mask_input_size[0]
        first = batch[0]
        if first.prompts is not None and first.prompts.mask is not None:
            given = torch.stack([r.prompts.mask for r in batch if r.prompts is not None and r.prompts.mask is not None])
            return _resize(given[:, None] * MASK_SCALE + MASK_BIAS, size, antialias=True)
        if first.previous is None:
            return None
        earlier = [_resize(r.previous.logits[None, None], size) for r in batch if r.previous is not None]
        return torch.cat(earlier).clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)

    def _wants_multimask(self, request: DecodeRequest, n_points: int) -> bool:
        config = self.network.config
        initial = request.prompts is not None and not request.memories
        return bool(
            config.multimask_output_in_sam
            and (initial or config.multimask_output_for_tracking)
            and config.multimask_min_pt_num <= n_points <= config.multimask_max_pt_num
        )

    def _conditioned(self, batch: Sequence[DecodeRequest]) -> Tensor:
        """Top-level features (B, C, h, w), conditioned on the memories if there are any."""
        network = self.network
        top: Tensor = torch.stack([r.features[2] for r in batch])
        if not any(self._temporal_index(ref) is not None for ref in batch[0].memories):
            top += network.no_memory_embedding.view(1, -1, 1, 1)
            return top
        memory, position, n_pointer_tokens = self._gather(batch)
        conditioned: Tensor = network.memory_attention(
            current_vision_features=top.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=self._token_position.expand(-1, len(batch), -1),
            memory=memory,
            memory_posision_embeddings=position,
            num_object_pointer_tokens=n_pointer_tokens,
        )
        return conditioned.view(len(batch), -1, network.hidden_dim).transpose(1, 2).reshape(top.shape)

    def _gather(self, batch: Sequence[DecodeRequest]) -> tuple[Tensor, Tensor, int]:
        """Memory tokens (L, B, 64), their position encodings, and how many of them are pointers."""
        temporal = self.network.memory_temporal_positional_encoding
        used = [(i, t) for i, ref in enumerate(batch[0].memories) if (t := self._temporal_index(ref)) is not None]
        # Official order: prompted slices as they were prompted, then tracked slices from far to near.
        # Attention does not depend on it.
        spatial = [torch.stack([r.memories[i].memory.features for r in batch], dim=1) for i, _ in used]
        positions = [(self._memory_position + temporal[t]).expand(-1, len(batch), -1) for _, t in used]
        pointers, pointer_positions = self._pointers(batch)
        tokens = torch.cat([*(s.float() for s in spatial), *pointers])
        return tokens, torch.cat([*positions, *pointer_positions]), sum(len(p) for p in pointers)

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

    def _pointers(self, batch: Sequence[DecodeRequest]) -> tuple[list[Tensor], list[Tensor]]:
        """Object pointers as tokens (L, B, 64) each, split into pieces of the memory's width."""
        network = self.network
        offsets = self._pointer_offsets(batch[0])
        if not offsets:
            return [], []
        limit = self._pointer_limit(batch[0])
        pieces = network.hidden_dim // network.mem_dim
        pointers = [
            torch.stack([r.memories[i].memory.pointer.view(pieces, network.mem_dim) for r in batch], dim=1)
            for i, _ in offsets
        ]
        if not network.config.enable_temporal_pos_encoding_for_object_pointers:
            return pointers, [torch.zeros_like(p) for p in pointers]
        distance = torch.tensor([float(d) for _, d in offsets], device=self.device) / max(limit - 1, 1)
        encoded = network.temporal_positional_encoding_projection_layer(_sine_1d(distance, network.hidden_dim))
        return pointers, [e.expand(pieces, len(batch), -1) for e in encoded]


def _is_mask_only(request: DecodeRequest) -> bool:
    prompts = request.prompts
    return prompts is not None and prompts.mask is not None and prompts.box is None and len(prompts.points) == 0


def _as_points(batch: Sequence[DecodeRequest]) -> tuple[Tensor, Tensor]:
    """Points (B, 1, N, 2) and labels (B, 1, N): a box is its two corners, labelled 2 and 3, before the clicks."""
    device = batch[0].features[2].device
    prompts = [r.prompts for r in batch if r.prompts is not None]
    if not prompts or (prompts[0].box is None and len(prompts[0].points) == 0):
        return _no_points(len(batch), device)
    points, labels = [], []
    for given in prompts:
        xy, kind = [given.points], [given.positive.to(torch.int32)]
        if given.box is not None:
            # SAM 2 was trained with the outermost pixels' centres, half a pixel inside the edges.
            half = torch.tensor([0.5, 0.5, -0.5, -0.5], device=device)
            xy.insert(0, (given.box + half).view(2, 2))
            kind.insert(0, torch.tensor([2, 3], dtype=torch.int32, device=device))
        points.append(torch.cat(xy))
        labels.append(torch.cat(kind))
    return torch.stack(points)[:, None], torch.stack(labels)[:, None]


def _no_points(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.zeros(count, 1, 1, 2, device=device), -torch.ones(count, 1, 1, dtype=torch.int32, device=device)


def _resize(maps: Tensor, size: int, *, antialias: bool = False) -> Tensor:
    if maps.shape[-2:] == (size, size):
        return maps.float()
    return F.interpolate(maps.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=antialias)


def _sine_position(owner: Any, channels: int, grid: tuple[int, int], device: torch.device) -> Tensor:
    """The fixed 2-D sine encoding of a module, as tokens (h * w, 1, channels)."""
    encoding: Tensor = owner.position_encoding(torch.Size([1, channels, *grid]), device, torch.float32)
    return encoding.flatten(2).permute(2, 0, 1).to(device)


def _sine_1d(position: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """Sine encoding (N, channels) of positions (N,), as in "Attention Is All You Need"."""
    half = channels // 2
    exponent = 2 * torch.div(torch.arange(half, device=position.device, dtype=torch.float32), 2, rounding_mode="floor")
    angle = position[:, None] / temperature ** (exponent / half)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
