"""Invented tissue around what a label map labels.

So that organs do not float in air.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["with_surroundings"]

#: Thickness of the invented body around the labels, over the map's shortest side in mm.
REACH = (0.06, 0.16)
#: Number of invented tissues, and knots of their shapes along each axis.
TISSUES = (10, 22)
KNOTS = (4, 9)


def with_surroundings(
    rng: np.random.Generator, labels: NDArray[np.int16], spacing: tuple[float, float, float]
) -> NDArray[np.int16]:
    """Fill the background near the labels with regions of its own.

    Parameters
    ----------
    rng : numpy.random.Generator
    labels : ndarray, (slices, rows, columns) int16
        0 is background.
    spacing : tuple of float
        Along the axes, mm.

    Returns
    -------
    ndarray, (slices, rows, columns) int16
        The labels as they were, new numbers in the invented body, 0 outside of it.
    """
    extent = min(n * mm for n, mm in zip(labels.shape, spacing, strict=True))
    distance = ndimage.distance_transform_edt(labels == 0, sampling=spacing)
    body = distance < rng.uniform(*REACH) * extent
    body = np.stack([ndimage.binary_fill_holes(plane) for plane in body])
    tissue = _random_regions(rng, labels.shape, int(rng.integers(*TISSUES)))
    invented = np.where(body, tissue + int(labels.max()) + 1, 0)
    return np.where(labels > 0, labels, invented).astype(np.int16)


def _random_regions(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> NDArray[np.int16]:
    """Each voxel takes the number of the strongest of ``count`` smooth random fields."""
    best = torch.full(tuple(shape), -1e9)
    winner = torch.zeros(tuple(shape), dtype=torch.int16)
    for number in range(count):
        knots = int(rng.integers(*KNOTS))
        field = torch.from_numpy(rng.standard_normal((1, 1, knots, knots, knots), dtype=np.float32))
        full = functional.interpolate(field, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]
        stronger = full > best
        best = torch.where(stronger, full, best)
        winner = torch.where(stronger, torch.tensor(number, dtype=torch.int16), winner)
    return np.asarray(winner.numpy(), np.int16)
