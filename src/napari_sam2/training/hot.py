"""Invented PET: hot objects, blurred by the scanner, in coarse pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_sam2.training.render import blur, coarse_noise, white_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["coarsened", "render_hot"]

#: Standard deviation of the scanner's blur over the object's side: 4 to 7 mm full width at half maximum on objects
#: of 10 to 60 mm.
BLUR = (0.03, 0.16)
#: Uptake around the object over its own, and of other hot organs (brain, bladder, kidneys).
BACKGROUND, HOT = (0.03, 0.35), (0.4, 1.4)
#: Share of the other regions that are hot, and share of objects with a cold middle, as after necrosis.
HOT_SHARE, COLD_MIDDLES = 0.07, 0.5
#: Uptake over the object's at which the window ends: below 1 most of the object is saturated.
WINDOW = (0.35, 1.5)
#: Pixels across an object in a PET slice of 2 to 5 mm a pixel.
ACROSS = (8.0, 32.0)


def render_hot(
    rng: np.random.Generator, regions: NDArray[np.integer[Any]], own: tuple[int, ...], mask: Tensor
) -> Tensor:
    """Invent the uptake of a stack of region numbers.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    regions : ndarray, (T, h, w) int
    own : tuple of int
        Region numbers of the object.
    mask : Tensor, (T, h, w)
        The object, 0 or 1.

    Returns
    -------
    Tensor, (T, h, w)
        In [0, 1].
    """
    count = max(int(regions.max()), *own) + 1
    around = rng.uniform(*BACKGROUND)
    uptake = around * np.exp(rng.normal(0, 0.45, count))
    others = rng.random(count) < HOT_SHARE
    uptake[others] = rng.uniform(*HOT, int(others.sum()))
    uptake[0] = around * rng.uniform(0, 0.5)
    uptake[list(own)] = rng.uniform(0.6, 1.2, len(own))
    side = _side(mask[0])
    image = torch.from_numpy(uptake.astype(np.float32))[torch.from_numpy(regions.astype(np.int64))]
    shape = tuple(image.shape)
    image = image * torch.exp(rng.uniform(0, 0.35) * coarse_noise(rng, int(rng.integers(4, 20)), shape))
    if rng.random() < COLD_MIDDLES:
        middle = blur(mask, rng.uniform(0.05, 0.2) * side) ** 4
        shift = rng.normal(0, 0.12 * side, 2)
        middle = torch.roll(middle, (int(shift[0]), int(shift[1])), (1, 2)) * mask
        image = image * (1 - rng.uniform(0.3, 1.0) * middle)
    width = max(0.7, float(rng.uniform(*BLUR)) * side)
    image = blur(image, width)
    # Counts: the noise grows with the root of the uptake, and reconstruction smooths it.
    noise = blur(white_noise(rng, shape), max(0.5, 0.6 * width))
    image = image + rng.uniform(0.01, 0.12) * image.clamp(min=0).sqrt() * noise / noise.std().clamp(min=1e-6)
    return (image / rng.uniform(*WINDOW)).clamp(0, 1)


def coarsened(rng: np.random.Generator, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Image and mask, (T, h, w), in pixels as coarse as PET's."""
    by = max(1, round(_side(mask[0]) / rng.uniform(*ACROSS)))
    if by == 1:
        return image, mask
    both = functional.avg_pool2d(torch.stack([image, mask]), by, ceil_mode=True, count_include_pad=False)
    return both[0], (both[1] > 0.5).float()


def _side(mask: Tensor) -> float:
    """Longer side of a mask's bounding box, pixels."""
    spans = [torch.nonzero(mask.any(axis)).flatten() for axis in (0, 1)]
    return float(max(int(span[-1] - span[0]) + 1 for span in spans))
