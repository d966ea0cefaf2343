"""What the trainings of both 3-D networks do with a lesson.

Turned at random, learned from, and followed by averaged weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.training.corrections.torch_net import CorrectionNet

__all__ = ["GATHERED", "average", "learn", "turning"]

GATHERED: Final = 4
"""Lessons of an update."""


def turning(rng: np.random.Generator) -> Callable[[NDArray[np.floating]], Tensor]:
    """A random turn, the same for all arrays of a lesson.

    Each of the last three axes may be mirrored, and the last two exchanged.
    """
    across, down, along = (slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    order = (0, 2, 1) if rng.random() < 0.5 else (0, 1, 2)

    def turned(array: NDArray[np.floating]) -> Tensor:
        lead = array.ndim - 3
        moved = array[..., across, down, along].transpose([*range(lead), *(lead + axis for axis in order)])
        # A mirrored array has negative strides, which torch does not take.
        return torch.from_numpy(moved.astype(np.float32, order="C", copy=True))

    return turned


def learn(
    net: CorrectionNet, channels: Tensor, wanted: Tensor, weights: Tensor, overlap_weights: Tensor | float
) -> float:
    """Add the gradient of one lesson, and return its loss.

    Cross-entropy, and half of soft Dice.

    Parameters
    ----------
    channels : (C, slices, rows, columns) tensor
    wanted, weights : (slices, rows, columns) tensors
        What every cell should be, 0 to 1, and what it counts in the cross-entropy.
    overlap_weights : tensor of that shape, or 1
        What it counts in the Dice.
    """
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(channels[None])[0].float()
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    given = torch.sigmoid(logits)
    shared = (overlap_weights * given * wanted).sum()
    overlap = (2 * shared + 1) / ((overlap_weights * (given + wanted)).sum() + 1)
    loss = ((entropy * weights).mean() + 0.5 * (1 - overlap)) / GATHERED
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()) * GATHERED


def average(kept: CorrectionNet, net: CorrectionNet, decay: float, update: int) -> None:
    """Move averaged weights towards those of an update, counted from 1."""
    with torch.no_grad():
        for slow, fast in zip(kept.parameters(), net.parameters(), strict=True):
            slow.lerp_(fast, 1 - min(decay, update / (update + 10)))
