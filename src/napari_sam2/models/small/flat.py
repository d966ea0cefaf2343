"""Flat views, as a program draws them.

A little grain makes them a picture that the network knows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

__all__ = ["with_grain"]

LEVELS: Final = 256
COMMON: Final = 4
FLAT_SHARE: Final = 0.85
SECOND_SHARE: Final = 0.05
"""A view is flat when its four most common of 256 levels are nearly all of it, and more than one of them counts: a
slice outside the body, which is black, is none, and neither is any scan with noise."""

GRAIN: Final = 0.01
"""Standard deviation, of the range of a view. On a disc of one value in another (IoU) without any 0.65, 0.99 with."""


def with_grain(view: Tensor) -> Tensor:
    """A view (S, S) with a fixed grain when it is flat.

    In [0, 1], and as it is otherwise.

    Histograms of two values say nothing about others, and every network here has learnt on pictures with noise.
    """
    counts = torch.histc(view.float().cpu(), LEVELS, 0.0, 1.0)
    most = torch.topk(counts, COMMON).values / view.numel()
    if most.sum() < FLAT_SHARE or most[1] < SECOND_SHARE:
        return view
    span = (1 - 6 * GRAIN) * view + 3 * GRAIN  # room on both sides, so that nothing is clipped flat again
    return span + GRAIN * _grain(view.shape[-1]).to(view.device)


@lru_cache(maxsize=4)
def _grain(side: int) -> Tensor:
    return torch.randn(side, side, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
