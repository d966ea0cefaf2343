"""Prompts as tensors for SAM 2's prompt encoder; encodings of place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_sam2.models.base import DecodeRequest

__all__ = [
    "MASK_BIAS",
    "MASK_SCALE",
    "PADDING",
    "as_logits",
    "as_points",
    "corner_pixels",
    "count_points",
    "dense_prompts",
    "is_mask_only",
    "no_points",
    "resize",
    "sine_1d",
    "sine_position",
]

PREVIOUS_LOGIT_LIMIT: Final = 32.0
"""The official predictor clamps earlier logits to this before it feeds them back with new clicks."""

PADDING: Final = -10
"""Label of points that fill up a shorter prompt, as in transformers' processors."""

MASK_SCALE: Final = 20.0
MASK_BIAS: Final = -10.0
"""From coverage in [0, 1] to logits, see `as_logits`."""


def count_points(request: DecodeRequest) -> int:
    """How many points the prompts come to; a box counts as two."""
    prompts = request.prompts
    return 0 if prompts is None else len(prompts.points) + 2 * (prompts.box is not None)


def is_mask_only(request: DecodeRequest) -> bool:
    """Whether a mask is given with nothing that would change it."""
    prompts = request.prompts
    return prompts is not None and prompts.mask is not None and prompts.box is None and len(prompts.points) == 0


def as_points(batch: Sequence[DecodeRequest]) -> tuple[Tensor, Tensor]:
    """Points (B, 1, N, 2) and labels (B, 1, N) of requests.

    Shorter ones are padded with points labelled `PADDING`.

    A box is its two corners, labelled 2 and 3, before the clicks. No point at all is one of `no_points`.
    """
    device = batch[0].features[2].device
    longest = max(1, *(count_points(request) for request in batch))
    points = torch.zeros(len(batch), 1, longest, 2, device=device)
    labels = torch.full((len(batch), 1, longest), PADDING, dtype=torch.int32, device=device)
    for row, prompts in enumerate(request.prompts for request in batch):
        count = count_points(batch[row])
        if prompts is None or count == 0:
            points[row, 0, :1], labels[row, 0, :1] = (part[0, 0] for part in no_points(1, device))
            continue
        xy, kind = [prompts.points], [prompts.positive.to(torch.int32)]
        if prompts.box is not None:
            xy.insert(0, corner_pixels(prompts.box).view(2, 2))
            kind.insert(0, torch.tensor([2, 3], dtype=torch.int32, device=device))
        points[row, 0, :count], labels[row, 0, :count] = torch.cat(xy), torch.cat(kind)
    return points, labels


def corner_pixels(box: Tensor) -> Tensor:
    """The centres of the outermost pixels of a box.

    x0, y0, x1, y1 of a box's outer edges (4,): what SAM was trained with.
    """
    return box + torch.tensor([0.5, 0.5, -0.5, -0.5], device=box.device)


def dense_prompts(encoder: Any, batch: Sequence[DecodeRequest], size: int) -> Tensor:
    """The dense prompts (B, C, h, w).

    A mask given with clicks, the answer that clicks correct, or none.

    Parameters
    ----------
    encoder : transformers.SamPromptEncoder or Sam2VideoPromptEncoder
        Whose embeddings are used.
    batch : sequence of DecodeRequest
        One per prompt.
    size : int
        Side of the masks that the encoder takes.
    """
    none = encoder.no_mask_embed.weight.view(-1, 1, 1).expand(-1, *encoder.image_embedding_size)
    embeddings = []
    for request in batch:
        if request.prompts is not None and request.prompts.mask is not None:
            mask = resize(as_logits(request.prompts.mask[None, None]), size, antialias=True)
            embeddings.append(encoder.mask_embed(mask)[0])
        elif request.previous is not None:
            earlier = resize(request.previous.logits[None, None], size)
            embeddings.append(encoder.mask_embed(earlier.clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT))[0])
        else:
            embeddings.append(none)
    return torch.stack(embeddings)


def as_logits(coverage: Tensor) -> Tensor:
    """Logits that stand for a given mask.

    +10 inside, -10 outside, as in the official ``_use_mask_as_output``.
    """
    return coverage * MASK_SCALE + MASK_BIAS


def no_points(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What stands for "no points": one at the origin, labelled -1."""
    return torch.zeros(count, 1, 1, 2, device=device), -torch.ones(count, 1, 1, dtype=torch.int32, device=device)


def resize(maps: Tensor, size: int, *, antialias: bool = False) -> Tensor:
    """Maps (B, C, h, w) as float32 (B, C, size, size), bilinear."""
    if maps.shape[-2:] == (size, size):
        return maps.float()
    return F.interpolate(maps.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=antialias)


def sine_position(module: Any, channels: int, grid: tuple[int, int], device: torch.device) -> Tensor:
    """The sine encoding of a grid as tokens.

    Made by a module for 2-D sine encodings, (h * w, 1, channels).
    """
    encoding: Tensor = module(torch.Size([1, channels, *grid]), device, torch.float32)
    return encoding.flatten(2).permute(2, 0, 1).to(device)


def sine_1d(position: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """Sine encoding (N, channels) of positions (N,).

    As in "Attention Is All You Need".
    """
    half = channels // 2
    exponent = 2 * torch.div(torch.arange(half, device=position.device, dtype=torch.float32), 2, rounding_mode="floor")
    angle = position[:, None] / temperature ** (exponent / half)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
