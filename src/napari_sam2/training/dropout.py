"""Withholding channels and memories from single samples.

So that the network leans on none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_sam2.models.small.channels import Channel
from napari_sam2.models.small.net import Tokens

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["withhold"]

#: Channels that may be withheld from a sample together, with the probability of it.
DROPPED_TOGETHER = (
    ((Channel.PROMPT_RATIO, Channel.PROMPT_DIFFERENCE), 0.12),
    ((Channel.ANCHOR_RATIO,), 0.12),
    ((Channel.LAST_RATIO,), 0.12),
    ((Channel.LAST_IMAGE, Channel.LAST_DIFFERENCE), 0.15),
    ((Channel.LAST_MASK,), 0.08),
    ((Channel.PROMPT_NEAR,), 0.12),
    ((Channel.LAST_NEAR,), 0.12),
    ((Channel.IMAGE,), 0.05),
    ((Channel.EQUALISED,), 0.05),
)
#: Probability that a remembered slice is withheld from attention.
DROP_TOKENS = 0.15


def withhold(rng: np.random.Generator, channels: Tensor, tokens: list[Tokens]) -> tuple[Tensor, list[Tokens]]:
    """Set channels of samples to zero, and close memories.

    Some remembered slices are closed to attention.

    Parameters
    ----------
    rng : numpy.random.Generator
    channels : Tensor, (B, C, S, S)
    tokens : list of Tokens
    """
    count = len(channels)
    kept = torch.ones(count, channels.shape[1])
    for together, chance in DROPPED_TOGETHER:
        if together[0] >= channels.shape[1]:
            continue
        dropped = torch.from_numpy(rng.random(count) < chance)
        for channel in together:
            kept[dropped, channel] = 0
    memories_left = []
    for t in tokens:
        opened = torch.from_numpy((rng.random(count) >= DROP_TOKENS).astype(np.float32))
        memories_left.append(Tokens(t.features, t.mask, t.shift, t.present * opened))
    return channels * kept[:, :, None, None], memories_left
