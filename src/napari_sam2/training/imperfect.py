"""Memories as they are when things go wrong.

Eroded, leaked, shifted, half lost.

A network that only ever remembers good masks never learns to find a lost lobe again or to give up a leak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_sam2.models.small.channels import resample

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["imperfect_masks"]

#: Ways in which a mask goes wrong, and how often each is drawn.
WAYS = ("eroded", "grown", "shifted", "half lost", "leaked")
SHARES = (0.2, 0.12, 0.2, 0.28, 0.2)
#: Pixels eroded or grown over the square root of the mask's area, at most.
MOST_ERODED, MOST_GROWN = 0.22, 0.18
#: Standard deviation of a shift over the square root of the mask's area.
SHIFT = 0.15
#: Radius of a leak over the square root of the mask's area.
LEAK = (0.25, 0.7)


def imperfect_masks(rng: np.random.Generator, masks: Tensor) -> Tensor:
    """Each mask of (B, S, S) gone wrong in one way.

    An empty mask stays empty.
    """
    changed = []
    for mask in masks:
        area = float((mask > 0.5).sum())
        if area < 9:
            changed.append(mask)
            continue
        changed.append(_changed(rng, mask, str(rng.choice(WAYS, p=SHARES)), area**0.5))
    return torch.stack(changed)


def _changed(rng: np.random.Generator, mask: Tensor, way: str, reach: float) -> Tensor:
    if way == "eroded":
        return 1 - _grown(1 - mask, rng.uniform(0.05, MOST_ERODED) * reach)
    if way == "grown":
        return _grown(mask, rng.uniform(0.05, MOST_GROWN) * reach)
    if way == "shifted":
        dx, dy = rng.normal(0, SHIFT, 2) * reach
        return resample(mask[None], torch.tensor([[1.0, float(dx), float(dy)]]))[0]
    rows, columns = torch.nonzero(mask > 0.5, as_tuple=True)
    pick = int(rng.integers(len(rows)))
    y, x = float(rows[pick]), float(columns[pick])
    across, down = torch.meshgrid(torch.arange(mask.shape[0]), torch.arange(mask.shape[1]), indexing="xy")
    if way == "half lost":
        angle = rng.uniform(0, 2 * np.pi)
        kept = (across - x) * float(np.cos(angle)) + (down - y) * float(np.sin(angle)) > 0
        return mask * kept
    edge = _rim_point(rng, mask)
    radius = rng.uniform(*LEAK) * reach
    blob = (across - edge[0]) ** 2 + ((down - edge[1]) * float(rng.uniform(0.6, 1.6))) ** 2 < radius**2
    return torch.maximum(mask, blob.float())


def _grown(mask: Tensor, pixels: float) -> Tensor:
    side = 2 * max(1, round(pixels)) + 1
    return functional.max_pool2d(mask[None, None], side, 1, side // 2)[0, 0]


def _rim_point(rng: np.random.Generator, mask: Tensor) -> tuple[float, float]:
    inside = (mask > 0.5).float()[None, None]
    rim = (inside > 0) & (-functional.max_pool2d(-inside, 3, 1, 1) < 0.5)
    rows, columns = torch.nonzero(rim[0, 0], as_tuple=True)
    if not len(rows):
        return 0.0, 0.0
    pick = int(rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick])
