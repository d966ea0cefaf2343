"""SAM 2's way from features to masks and memories.

It stands behind the engine's protocol.

Shared by all video models that are built like SAM 2. The modules and weights are those of transformers'
classes; which slices serve as memory, and when, is the engine's business. What one step computes follows Ravi
et al., "SAM 2: Segment Anything in Images and Videos" (2024) and equals the official predictor's for the same
weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from napari_sam2.models.base import Decoded, ViewPolicy
from napari_sam2.models.device_copy import copy_to
from napari_sam2.models.sam2.kernels import pack_linear_modules
from napari_sam2.models.sam2.masking import ignoring, let_keys_be_ignored
from napari_sam2.models.sam2.precision import Precision, half_of
from napari_sam2.models.sam2.prompting import (
    MASK_BIAS,
    MASK_SCALE,
    PADDING,
    as_logits,
    as_points,
    count_points,
    dense_prompts,
    is_mask_only,
    no_points,
    resize,
    sine_position,
)
from napari_sam2.models.sam2.remembering import Memory, MemoryTokenBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest, Features, ModelCard, RememberRequest
    from napari_sam2.models.sam2.attention import MemoryTokens

    Attention = Callable[[Tensor, Sequence[MemoryTokens]], Tensor]

__all__ = ["WHOLE_SLICE", "VideoModel"]

NO_OBJECT_LOGIT: Final = -1024.0
"""Mask logit that SAM 2's memory encoder was trained to see when the object is absent."""

WHOLE_SLICE: Final = ViewPolicy(zoom=False)
"""How SAM 2 was trained."""


class VideoModel(ABC):
    """A video model built like SAM 2 that answers the engine.

    Kinds differ in what the methods at the end make.

    Parameters
    ----------
    network : transformers.Sam2VideoModel, or one built like it
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
        self.device: torch.device = next(network.parameters()).device
        grid = network.backbone_feature_sizes[-1]
        self._grid = (int(grid[0]), int(grid[1]))
        with torch.inference_mode():
            self._image_position = network.get_image_wide_positional_embeddings()
            self._token_builder = MemoryTokenBuilder(network, self._memory_position())
        self._prepare()
        let_keys_be_ignored(network.mask_decoder)
        self._precision = Precision(self.device, half_of(self.device) if half else torch.float32)
        self._parts: dict[torch.dtype, tuple[Callable[[Tensor], tuple[Tensor, ...]], Attention]] = {}

    @property
    def dtype(self) -> torch.dtype:
        """The type it multiplies in."""
        return self._precision.dtype

    def on_cpu(self) -> Self:
        """The same weights on the CPU; itself when it is there already."""
        if self.device.type == "cpu":
            return self
        half = self.dtype != torch.float32
        return type(self)(copy_to(self.network, torch.device("cpu")), self.card, self.view_policy, half=half)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> list[Features]:
        """Features of views.

        Two high-resolution maps for the mask decoder, and the top-level map.
        """
        fine, middle, top = self._precision.run(lambda: self._passes()[0](images), tuple)
        return [(fine[i], middle[i], top[i]) for i in range(len(images))]

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """Masks for requests.

        All through memory attention at once, then by whether one mask or three are asked for.
        """
        return self._precision.run(lambda: self._decode(requests), lambda found: [d.logits for d in found])

    @torch.inference_mode()
    def decode_all(self, requests: Sequence[DecodeRequest]) -> list[list[Decoded]]:
        """All three masks for ambiguous clicks.

        The one mask where the prompts are not ambiguous.
        """
        several = [
            n
            for n, request in enumerate(requests)
            if not is_mask_only(request) and self._wants_multimask(request, count_points(request))
        ]
        single = [n for n in range(len(requests)) if n not in set(several)]
        found = dict(zip(single, ([answer] for answer in self.decode([requests[n] for n in single])), strict=True))
        if several:
            ambiguous = [requests[n] for n in several]
            threes = self._precision.run(
                lambda: self._decode_threes(ambiguous), lambda answers: [d.logits for three in answers for d in three]
            )
            found.update(zip(several, threes, strict=True))
        return [found[n] for n in range(len(requests))]

    @torch.inference_mode()
    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """Memories of slices.

        Mask and features fused by the memory encoder, with the object pointer.
        """
        return self._precision.run(lambda: self._remember(requests), lambda found: [m.features for m in found])

    def _passes(self) -> tuple[Callable[[Tensor], tuple[Tensor, ...]], Attention]:
        """Encoder and memory attention for the type that is multiplied in; built when first needed."""
        dtype = self._precision.dtype
        if dtype not in self._parts:
            self._parts = {dtype: (self._make_encoder(dtype), self._make_attention(dtype))}
        return self._parts[dtype]

    def _decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        answers: dict[int, Decoded] = {}
        masks = [n for n, request in enumerate(requests) if is_mask_only(request)]
        others = [n for n, request in enumerate(requests) if not is_mask_only(request)]
        if masks:
            answers.update(zip(masks, self._use_masks([requests[n] for n in masks]), strict=True))
        if others:
            conditioned = self._decode_conditioned([requests[n] for n in others])
            answers.update(zip(others, conditioned, strict=True))
        return [answers[n] for n in range(len(requests))]

    def _remember(self, requests: Sequence[RememberRequest]) -> list[Memory]:
        network, size = self.network, 4 * self.network.prompt_encoder.mask_input_size[0]
        masks = []
        for request in requests:
            present = request.decoded.object_score > 0
            logits = request.decoded.logits if present else torch.full_like(request.decoded.logits, NO_OBJECT_LOGIT)
            # Official code goes by way of the image's size, which is not the mask encoder's in SAM 3.
            logits = resize(resize(logits[None, None], self.input_size), size)
            masks.append((logits > 0).float() if request.prompted else logits.sigmoid())
        scaled = torch.cat(masks) * network.config.sigmoid_scale_for_mem_enc + network.config.sigmoid_bias_for_mem_enc
        top = torch.stack([request.features[2] for request in requests])
        features, _ = network.memory_encoder(top, scaled)
        if network.occlusion_spatial_embedding_parameter is not None:
            absent = torch.tensor([float(r.decoded.object_score <= 0) for r in requests], device=self.device)
            features = (
                features + absent.view(-1, 1, 1, 1) * network.occlusion_spatial_embedding_parameter[..., None, None]
            )
        tokens = self._as_tokens(features)
        return [Memory(t, r.decoded.state) for t, r in zip(tokens, requests, strict=True)]

    def _decode_conditioned(self, batch: Sequence[DecodeRequest]) -> list[Decoded]:
        top, encoder = self._conditioned(batch), self.network.prompt_encoder
        groups: dict[bool, list[int]] = {}
        for number, request in enumerate(batch):
            groups.setdefault(self._wants_multimask(request, count_points(request)), []).append(number)
        answers: dict[int, Decoded] = {}
        for multimask, numbers in groups.items():
            alike = [batch[n] for n in numbers]
            dense = dense_prompts(encoder, alike, encoder.mask_input_size[0])
            decoded = self._run_decoder(top[numbers], alike, *as_points(alike), dense, multimask)
            answers.update(zip(numbers, decoded, strict=True))
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
        masks, ious, tokens, scores = self._decoder_output(top, batch, points, labels, dense, multimask)
        rows = torch.arange(len(batch), device=self.device)
        best = ious.argmax(dim=1)
        token = tokens[:, 0] if tokens.shape[1] == 1 else tokens[rows, best]
        return self._answers(masks[rows, best].float(), ious[rows, best], scores, self._pointers(token, scores))

    def _decode_threes(self, batch: Sequence[DecodeRequest]) -> list[list[Decoded]]:
        """All masks of ambiguous requests."""
        encoder = self.network.prompt_encoder
        dense = dense_prompts(encoder, batch, encoder.mask_input_size[0])
        masks, ious, tokens, scores = self._decoder_output(
            self._conditioned(batch), batch, *as_points(batch), dense, multimask=True
        )
        found = []
        for of_one, quality, token, score in zip(masks, ious, tokens, scores, strict=True):
            presence = score.expand(len(of_one))
            found.append(self._answers(of_one.float(), quality, presence, self._pointers(token, presence)))
        return found

    def _decoder_output(
        self,
        top: Tensor,
        batch: Sequence[DecodeRequest],
        points: Tensor,
        labels: Tensor,
        dense: Tensor,
        multimask: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Masks (B, M, h, w), their IoU (B, M), tokens (B, M or 1, C) and presence (B,), of M masks."""
        network = self.network
        sparse, _ = network.prompt_encoder(points, labels, None, None)
        # The prompt encoder ends every prompt with a token that says so.
        padded = F.pad(labels[:, 0] == PADDING, (0, 1))
        with ignoring(network.mask_decoder, padded):
            masks, ious, tokens, object_scores = network.mask_decoder(
                image_embeddings=top,
                image_positional_embeddings=self._image_position.expand(len(batch), -1, -1, -1),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask,
                high_resolution_features=[torch.stack([r.features[level] for r in batch]) for level in (0, 1)],
            )
        return masks[:, 0], ious[:, 0], tokens[:, 0], object_scores[:, 0, 0]

    def _pointers(self, token: Tensor, scores: Tensor) -> Tensor:
        """Object pointers (B, C); that of no object where it is absent."""
        pointers = self.network.object_pointer_proj(token)
        return torch.where(scores[:, None] > 0, pointers, self.network.no_object_pointer)

    def _answers(self, chosen: Tensor, chosen_iou: Tensor, scores: Tensor, pointers: Tensor) -> list[Decoded]:
        """One answer for each mask (B, h, w), with its scores (B,) and object pointer (B, C)."""
        return [
            Decoded(chosen[i], float(score), float(quality), pointers[i])
            for i, (score, quality) in enumerate(zip(scores.tolist(), chosen_iou.tolist(), strict=True))
        ]

    def _use_masks(self, batch: Sequence[DecodeRequest]) -> list[Decoded]:
        """Take given masks as the answer; the decoder is run only for the object pointer."""
        network = self.network
        masks = torch.stack([r.prompts.mask for r in batch if r.prompts is not None and r.prompts.mask is not None])
        masks = masks[:, None]
        size = network.prompt_encoder.mask_input_size[0]
        logits = resize(as_logits(masks), size, antialias=True)
        top = torch.stack([r.features[2] for r in batch])
        points, labels = no_points(len(batch), self.device)
        dense = network.prompt_encoder.mask_embed(resize(network.mask_downsample(masks), size, antialias=True))
        pointed = self._run_decoder(top, batch, points, labels, dense, multimask=False)
        answers = []
        for mask, low, answer in zip(masks, logits, pointed, strict=True):
            present = bool((mask > 0).any())
            pointer = answer.state if present else network.no_object_pointer[0]
            answers.append(Decoded(low[0], MASK_SCALE * present + MASK_BIAS, 1.0, pointer))
        return answers

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
        remembered = {n: tokens for n, r in enumerate(batch) if (tokens := self._token_builder.tokens(r)) is not None}
        if remembered:
            numbers = list(remembered)
            attended = self._passes()[1](top[numbers], list(remembered.values()))
            conditioned[numbers] = attended.to(conditioned.dtype)
        return conditioned

    def _prepare(self) -> None:
        """Make the network quick at what is asked of it: answers, which need no gradients."""
        pack_linear_modules(self.network)

    @abstractmethod
    def _make_encoder(self, dtype: torch.dtype) -> Callable[[Tensor], tuple[Tensor, ...]]:
        """What turns images (B, C, S, S) into the three maps of `encode`, multiplying in a type."""

    @abstractmethod
    def _make_attention(self, dtype: torch.dtype) -> Attention:
        """What conditions a slice on memories."""

    def _memory_position(self) -> Tensor:
        """Encoding of place (N, 64) of the tokens of one memory."""
        network = self.network
        return sine_position(
            network.memory_encoder.position_encoding, network.mem_dim, self._grid, self.device
        ).squeeze(1)

    def _as_tokens(self, features: Tensor) -> Tensor:
        """Tokens (B, N, 64) to be kept, of the memory encoder's maps (B, 64, h, w)."""
        # bf16 as in the official predictor: half the memory, and the same numbers.
        return features.to(torch.bfloat16).flatten(2).transpose(1, 2)
