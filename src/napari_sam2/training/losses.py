"""Training losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from napari_sam2.models.small.net import NetOutput

__all__ = ["LossWeights", "dice", "loss"]

#: An object smaller than this many pixels of the view counts as absent.
ABSENT_BELOW = 4
#: Pixels added above and below in the Dice loss, so that empty masks have one.
DICE_SMOOTHING = 1.0


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the parts of the loss.

    ``absent_dice`` and ``absent_presence`` are factors for views without the object: the first because any
    stray pixel there costs the whole Dice, the second because such views are rare.
    """

    cross_entropy: float = 2.0
    dice: float = 1.0
    iou: float = 0.3
    presence: float = 0.3
    absent_dice: float = 0.3
    absent_presence: float = 1.0


def loss(output: NetOutput, truth: Tensor, visible: Tensor, weights: LossWeights) -> Tensor:
    """Mean loss over B views.

    Parameters
    ----------
    output : NetOutput
    truth : Tensor, (B, S, S)
        0 or 1.
    visible : Tensor, (B,)
        Share of the object within the view; the predicted IoU is that with the whole object, so that a view
        which cuts the object off is trusted less.
    weights : LossWeights
    """
    present = (truth.flatten(1).sum(1) >= ABSENT_BELOW).float()
    cross_entropy = functional.binary_cross_entropy_with_logits(output.logits, truth, reduction="none").mean((1, 2))
    probability = torch.sigmoid(output.logits)
    overlap = (probability * truth).sum((1, 2))
    total = probability.sum((1, 2)) + truth.sum((1, 2))
    overlap_loss = 1 - (2 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)
    overlap_loss = overlap_loss * (present + (1 - present) * weights.absent_dice)
    with torch.no_grad():
        iou = _iou(output.logits > 0, truth > 0.5) * visible
    iou_loss = functional.binary_cross_entropy_with_logits(output.iou, iou, reduction="none") * present
    presence_loss = functional.binary_cross_entropy_with_logits(output.presence, present, reduction="none")
    presence_loss = presence_loss * (present + (1 - present) * weights.absent_presence)
    return (
        weights.cross_entropy * cross_entropy
        + weights.dice * overlap_loss
        + weights.iou * iou_loss
        + weights.presence * presence_loss
    ).mean()


def dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice of each thresholded answer, (B,); 1 where both are empty."""
    one, two = logits > 0, truth > 0.5
    total = one.flatten(1).sum(1) + two.flatten(1).sum(1)
    both = (one & two).flatten(1).sum(1)
    return torch.where(total > 0, 2 * both / total.clamp(min=1), torch.ones_like(total, dtype=torch.float32))


def _iou(one: Tensor, two: Tensor) -> Tensor:
    union = (one | two).flatten(1).sum(1)
    return (one & two).flatten(1).sum(1) / union.clamp(min=1)
