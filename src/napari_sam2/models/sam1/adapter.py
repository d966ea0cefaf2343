"""The first Segment Anything behind the engine's protocol.

On the weights of transformers' `SamModel`.

SAM answers prompts on one image and has no memory. From slice to slice a mask is carried as a prompt: the
logits of the nearest remembered slice, and the box around its mask. Kirillov et al., "Segment anything",
ICCV 2023; the same network with other weights is MedSAM (Ma et al., Nature Communications 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch

from napari_sam2.models.base import Decoded, ViewPrompts
from napari_sam2.models.device_copy import copy_to
from napari_sam2.models.quality import QUALITIES
from napari_sam2.models.sam2.kernels import pack_linear_modules
from napari_sam2.models.sam2.prompting import (
    MASK_BIAS,
    MASK_SCALE,
    as_logits,
    corner_pixels,
    dense_prompts,
    is_mask_only,
    resize,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest, Features, ModelCard, RememberRequest

__all__ = ["Normalisation", "Sam1Model"]

MASK_SHARE: Final = 4
"""Pixels of the view per cell of the mask."""

BOX_MARGIN: Final = 10 / 1024
"""By how much of the view's side a carried box is larger than the mask, so that an object can grow. MedSAM was
trained with boxes 0 to 20 of 1024 pixels too large."""

LEAST_IOU: Final = 0.5
"""A carried mask that SAM itself expects to be worse is taken for the end of the object; it has no better sign."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What is done to intensities before the network sees them.

    They are in [0, 1]; ``(x - mean) / std`` by channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    """Logits (h, w) of a slice's mask; None where the object is absent."""

    logits: Tensor | None


class Sam1Model:
    """A SAM that answers the engine.

    Parameters
    ----------
    network : transformers.SamModel
        In eval mode, on its device.
    card : ModelCard
        Who it is.
    normalisation : Normalisation
        How its images were prepared in training.
    """

    max_memories = 2

    def __init__(self, network: Any, card: ModelCard, normalisation: Normalisation) -> None:
        self.network = network
        self.card = card
        self.view_policy = QUALITIES["best"].policy
        self._normalisation = normalisation
        self.input_size: int = network.config.vision_config.image_size
        self.device: torch.device = next(network.parameters()).device
        self._mask_size = self.input_size // MASK_SHARE
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1)
            for values in (normalisation.mean, normalisation.std)
        )
        with torch.inference_mode():
            self._image_position = network.get_image_wide_positional_embeddings()
        pack_linear_modules(network)

    def on_cpu(self) -> Sam1Model:
        """The same weights on the CPU; itself when it is there already."""
        if self.device.type == "cpu":
            return self
        return Sam1Model(copy_to(self.network, torch.device("cpu")), self.card, self._normalisation)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> list[Features]:
        """Features of views: one map of a sixteenth of the view's side."""
        maps = self.network.get_image_embeddings((images - self._mean) / self._std)
        return [(features,) for features in maps]

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """Masks for requests.

        Those with equally many points and boxes go through the decoder together.
        """
        answers: dict[int, Decoded] = {}
        groups: dict[tuple[int, bool, bool], list[tuple[int, DecodeRequest, bool]]] = {}
        for number, request in enumerate(requests):
            if is_mask_only(request):
                answers[number] = self._given(request)
                continue
            carried = request.prompts is None
            prompted = self._carried(request) if carried else request
            if prompted is None or prompted.prompts is None:
                answers[number] = self._absent()
                continue
            key = (len(prompted.prompts.points), prompted.prompts.box is not None, _is_ambiguous(prompted))
            groups.setdefault(key, []).append((number, prompted, carried))
        for (_, _, multimask), group in groups.items():
            decoded = self._run_decoder([request for _, request, _ in group], multimask)
            for (number, _, carried), (logits, quality) in zip(group, decoded, strict=True):
                answers[number] = _judged(logits, quality, carried)
        return [answers[number] for number in range(len(requests))]

    @torch.inference_mode()
    def decode_all(self, requests: Sequence[DecodeRequest]) -> list[list[Decoded]]:
        """All three masks for ambiguous clicks.

        The one mask where the prompts are not ambiguous.
        """
        several = [n for n, request in enumerate(requests) if _is_ambiguous(request)]
        single = [n for n in range(len(requests)) if n not in set(several)]
        found = dict(zip(single, ([answer] for answer in self.decode([requests[n] for n in single])), strict=True))
        if several:
            masks, ious = self._decoder_output([requests[n] for n in several], multimask=True)
            for n, of_one, quality in zip(several, masks, ious.tolist(), strict=True):
                pairs = zip(of_one, quality, strict=True)
                found[n] = [_judged(mask.float(), iou, carried=False) for mask, iou in pairs]
        return [found[n] for n in range(len(requests))]

    @torch.inference_mode()
    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """Masks of slices; nothing is computed."""
        return [_Memory(r.decoded.logits if r.decoded.object_score > 0 else None) for r in requests]

    def _run_decoder(self, batch: Sequence[DecodeRequest], multimask: bool) -> list[tuple[Tensor, float]]:
        """The best mask's logits and its expected IoU, for requests with alike prompts."""
        masks, ious = self._decoder_output(batch, multimask)
        best = ious.argmax(dim=1)
        return [(masks[i, n].float(), float(ious[i, n])) for i, n in enumerate(best.tolist())]

    def _decoder_output(self, batch: Sequence[DecodeRequest], multimask: bool) -> tuple[Tensor, Tensor]:
        """Masks (B, M, h, w) and their expected IoU (B, M)."""
        network = self.network
        view_prompts = [request.prompts for request in batch if request.prompts is not None]
        points, labels, boxes = None, None, None
        if len(view_prompts[0].points):
            points = torch.stack([prompts.points for prompts in view_prompts])[:, None]
            labels = torch.stack([prompts.positive.to(torch.int32) for prompts in view_prompts])[:, None]
        if view_prompts[0].box is not None:
            boxes = torch.stack([corner_pixels(prompts.box) for prompts in view_prompts if prompts.box is not None])[
                :, None
            ]
        sparse, _ = network.prompt_encoder(points, labels, boxes, None)
        masks, ious = network.mask_decoder(
            image_embeddings=torch.stack([request.features[0] for request in batch]),
            image_positional_embeddings=self._image_position.expand(len(batch), -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense_prompts(network.prompt_encoder, batch, self._mask_size),
            multimask_output=multimask,
        )
        return masks[:, 0], ious[:, 0]

    def _given(self, request: DecodeRequest) -> Decoded:
        """A given mask as the answer."""
        if request.prompts is None or request.prompts.mask is None:
            raise ValueError("The request holds no mask.")
        logits = resize(as_logits(request.prompts.mask[None, None]), self._mask_size, antialias=True)[0, 0]
        present = bool((request.prompts.mask > 0).any())
        return Decoded(logits, MASK_SCALE * present + MASK_BIAS, 1.0)

    def _absent(self) -> Decoded:
        return Decoded(torch.full((self._mask_size, self._mask_size), MASK_BIAS, device=self.device), MASK_BIAS, 1.0)

    def _carried(self, request: DecodeRequest) -> DecodeRequest | None:
        """The prompts that a remembered mask comes to; None when the object is nowhere near."""
        usable = [ref for ref in request.memories if ref.memory.logits is not None]
        if not usable:
            return None
        # Of equally near slices the one that a person prompted.
        nearest = min(usable, key=lambda ref: (abs(ref.offset), not ref.prompted))
        logits: Tensor = nearest.memory.logits
        rows, cols = torch.nonzero(logits > 0, as_tuple=True)
        if not len(rows):
            return None
        scale = self.input_size / logits.shape[-1]
        margin = BOX_MARGIN * self.input_size
        # From cells to the outer edges of pixels, whose centres are whole numbers.
        low = torch.stack([cols.min(), rows.min()]) * scale - 0.5 - margin
        high = (torch.stack([cols.max(), rows.max()]) + 1) * scale - 0.5 + margin
        box = torch.cat([low, high]).clamp(-0.5, self.input_size - 0.5)
        none = torch.zeros(0, 2, device=self.device)
        prompts = ViewPrompts(none, torch.zeros(0, dtype=torch.bool, device=self.device), box)
        return replace(request, prompts=prompts, previous=Decoded(logits, MASK_SCALE + MASK_BIAS, 1.0))


def _is_ambiguous(request: DecodeRequest) -> bool:
    """Whether several masks are asked for: a single click may mean a part or the whole."""
    prompts = request.prompts
    if prompts is None or prompts.box is not None or prompts.mask is not None or request.previous is not None:
        return False
    return len(prompts.points) == 1


def _judged(logits: Tensor, quality: float, carried: bool) -> Decoded:
    """An answer with a score of the object's presence, which SAM does not have."""
    if not bool((logits > 0).any()):
        return Decoded(logits, MASK_BIAS, quality)
    # A person who prompts says that the object is there.
    score = MASK_SCALE * (quality - LEAST_IOU) if carried else MASK_SCALE + MASK_BIAS
    return Decoded(logits, score, quality)
