"""What a model is asked, as the small network takes it.

Prompts and remembered slices of several views as one batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from napari_sam2.models.base import ViewPrompts
from napari_sam2.models.small.channels import PromptBatch, RememberedBatch
from napari_sam2.models.small.net import TOKEN_STRIDE, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.models.base import DecodeRequest, MemoryRef, ViewShift

__all__ = [
    "Memory",
    "anchor_of",
    "joined",
    "last_of",
    "mirrored",
    "prompt_batch",
    "remembered_batch",
    "resized",
]


@dataclass(frozen=True, slots=True)
class Memory:
    """One remembered slice.

    Attributes
    ----------
    image, mask : Tensor, (S, S)
        Intensities, and probability of the object.
    features : Tensor, (C, S / 8, S / 8)
    """

    image: Tensor
    mask: Tensor
    features: Tensor


def prompt_batch(requests: Sequence[DecodeRequest], size: int, device: torch.device) -> PromptBatch:
    """The prompts of views of ``size`` pixels.

    Padded to the same number of points.
    """
    count = len(requests)
    view_prompts = [r.prompts or ViewPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool)) for r in requests]
    most = max([len(g.points) for g in view_prompts] + [1])
    points = torch.zeros(count, most, 2, device=device)
    labels = torch.full((count, most), -1, device=device)
    boxes, has_box = torch.zeros(count, 4, device=device), torch.zeros(count, device=device)
    prior = torch.zeros(count, size, size, device=device)
    has_prior = torch.zeros(count, device=device)
    for k, (prompts, request) in enumerate(zip(view_prompts, requests, strict=True)):
        if len(prompts.points):
            points[k, : len(prompts.points)] = prompts.points.to(device)
            labels[k, : len(prompts.points)] = prompts.positive.to(device).long()
        if prompts.box is not None:
            boxes[k], has_box[k] = prompts.box.to(device), 1
        if request.previous is not None:
            prior[k], has_prior[k] = torch.sigmoid(resized(request.previous.logits, size, device)), 1
        elif prompts.mask is not None:
            prior[k], has_prior[k] = resized(prompts.mask, size, device), 1
    return PromptBatch(boxes, has_box, points, labels, prior, has_prior)


def remembered_batch(
    refs: Sequence[MemoryRef | None], size: int, width: int, device: torch.device
) -> tuple[RememberedBatch, Tokens]:
    """One remembered slice for each view of ``size`` pixels.

    Features of ``width`` channels; zeros where there is none.
    """
    grid = size // TOKEN_STRIDE
    empty = Memory(
        torch.zeros(size, size, device=device),
        torch.zeros(size, size, device=device),
        torch.zeros(width, grid, grid, device=device),
    )
    memories = [empty if ref is None else ref.memory for ref in refs]
    shift = torch.tensor([_numbers(ref.shift) if ref else (1.0, 0.0, 0.0) for ref in refs], device=device)
    present = torch.tensor([0.0 if ref is None else 1.0 for ref in refs], device=device)
    mask = torch.stack([memory.mask for memory in memories])
    batch = RememberedBatch(torch.stack([memory.image for memory in memories]), mask, shift, present)
    coarse = functional.avg_pool2d(mask[:, None], TOKEN_STRIDE)[:, 0]
    return batch, Tokens(torch.stack([memory.features for memory in memories]), coarse, shift, present)


def resized(values: Tensor, size: int, device: torch.device) -> Tensor:
    """Values (h, h) over a view, at its own ``size``."""
    values = values.to(device, torch.float32)
    if values.shape[-1] == size:
        return values
    return functional.interpolate(values[None, None], (size, size), mode="bilinear", align_corners=False)[0, 0]


def anchor_of(memories: Sequence[MemoryRef]) -> MemoryRef | None:
    """The nearest slice that a person prompted.

    Or else the farthest remembered one.
    """
    prompted = [ref for ref in memories if ref.prompted]
    if prompted:
        return min(prompted, key=lambda ref: abs(ref.offset))
    return max(memories, key=lambda ref: abs(ref.offset), default=None)


def last_of(memories: Sequence[MemoryRef]) -> MemoryRef | None:
    """The nearest remembered slice of any kind."""
    return min(memories, key=lambda ref: abs(ref.offset), default=None)


def mirrored(tokens: Tokens, size: int) -> Tokens:
    """A remembered slice as seen from the view's mirror image.

    It is mirrored itself.
    """
    scale, dx, dy = tokens.shift.unbind(1)
    shift = torch.stack([scale, (size - 1) * (1 - scale) - dx, dy], 1)
    return Tokens(tokens.features.flip(-1), tokens.mask.flip(-1), shift, tokens.present)


def joined(first: Tokens, second: Tokens) -> Tokens:
    """Remembered slices of two batches as one batch."""
    return Tokens(*(torch.cat([getattr(t, field.name) for t in (first, second)]) for field in fields(Tokens)))


def _numbers(shift: ViewShift) -> tuple[float, float, float]:
    return shift.scale, shift.dx, shift.dy
