"""Simulated annotators: boxes, first clicks, corrective clicks, careless masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from napari_sam2.models.small.channels import resample

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["careless_mask", "corrective_click", "first_click", "jittered_box", "mask_box"]

#: Jitter of a box's edges over its sides, and how often each is drawn.
BOX_JITTER = (0.0, 0.03, 0.08)
BOX_JITTER_SHARES = (0.35, 0.4, 0.25)


def mask_box(mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Outer edges x0, y0, x1, y1 of a mask, (rows, columns).

    None if it is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5], np.float32)


def jittered_box(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """A box as a person draws it.

    Each edge off by up to a few per cent of the side.
    """
    box = mask_box(mask)
    if box is None:
        return None
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    jitter = rng.choice(BOX_JITTER, p=BOX_JITTER_SHARES)
    moved = box + rng.normal(0, 1, 4) * jitter * sides
    if moved[2] - moved[0] < 2 or moved[3] - moved[1] < 2:
        return box
    return np.asarray(moved, np.float32)


def first_click(rng: np.random.Generator, mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """A pixel (x, y) of the object.

    Its deepest one half of the time, else any that is not on the rim.
    """
    if not mask.any():
        return None
    depth = _depth(mask)
    if rng.random() < 0.5:
        return _deepest(depth)
    rows, columns = np.nonzero(depth >= min(2.0, float(depth.max())))
    pick = int(rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick])


def corrective_click(
    rng: np.random.Generator, predicted: NDArray[np.bool_], truth: NDArray[np.bool_], random_share: float = 0.3
) -> tuple[float, float, int] | None:
    """The click that a person would add next.

    x, y and 1 to include or 0 to exclude.

    It lies deepest inside the larger error, or, with probability ``random_share``, anywhere in it.
    """
    missed, extra = truth & ~predicted, predicted & ~truth
    if not (missed | extra).any():
        return None
    depths = [_depth(part) for part in (missed, extra)]
    label = 1 if depths[0].max() >= depths[1].max() else 0
    depth = depths[1 - label]
    if rng.random() >= random_share:
        x, y = _deepest(depth)
        return x, y, label
    rows, columns = np.nonzero(depth >= 0.5 * depth.max())
    pick = int(rng.integers(len(rows)))
    return float(columns[pick]), float(rows[pick]), label


def careless_mask(rng: np.random.Generator, masks: Tensor, amount: float) -> Tensor:
    """Masks shifted, scaled, grown or shrunk a little.

    (B, S, S), each in its own way.
    """
    count, side = masks.shape[0], masks.shape[-1]
    scale = np.exp(rng.normal(0, 0.06 * amount, (count, 1)))
    offset = rng.normal(0, 0.025 * amount * side, (count, 2)) + (1 - scale) * (side - 1) / 2
    shift = torch.from_numpy(np.concatenate([scale, offset], 1).astype(np.float32))
    moved = resample(masks, shift)
    grown = functional.max_pool2d(moved[:, None], 3, 1, 1)[:, 0]
    shrunk = -functional.max_pool2d(-moved[:, None], 3, 1, 1)[:, 0]
    way = torch.from_numpy(rng.random(count).astype(np.float32))[:, None, None]
    return torch.where(way < 0.2 * amount, grown, torch.where(way > 1 - 0.2 * amount, shrunk, moved))


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the nearest pixel outside; beyond the border counts as outside."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1], np.float64)


def _deepest(depth: NDArray[np.float64]) -> tuple[float, float]:
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(column), float(row)
