"""What a roll-out remembers of a slice, for a batch of clips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_sam2.models.small.net import TOKEN_STRIDE

__all__ = ["Remembered"]


@dataclass(slots=True)
class Remembered:
    """One remembered slice for each of B clips.

    Attributes
    ----------
    image, mask : Tensor, (B, S, S)
        Intensities, and the probability of the object.
    features : Tensor, (B, C, S / 8, S / 8)
        Token features.
    views : Tensor, (B, 3)
        Where the view lay, in the clip's frame.
    present : Tensor, (B,) float
        0 where nothing is remembered yet.
    """

    image: Tensor
    mask: Tensor
    features: Tensor
    views: Tensor
    present: Tensor

    @classmethod
    def nothing(cls, views: Tensor, size: int, width: int) -> Remembered:
        """Before anything was seen; ``width`` is the number of feature channels."""
        count, grid = len(views), size // TOKEN_STRIDE
        empty = torch.zeros(count, size, size)
        features = torch.zeros(count, width, grid, grid)
        return cls(empty, empty.clone(), features, views.clone(), torch.zeros(count))

    def keep(self, new: Remembered, where: Tensor) -> None:
        """Take over the samples of ``new`` where ``where`` is True, (B,) bool."""
        for name in ("image", "mask", "features", "views", "present"):
            old, fresh = getattr(self, name), getattr(new, name)
            chosen = where.view(-1, *(1,) * (old.dim() - 1))
            setattr(self, name, torch.where(chosen, fresh, old))
