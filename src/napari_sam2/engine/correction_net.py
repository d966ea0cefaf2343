"""The network that knows how far an error goes, around a click.

A U-Net over what `correction_evidence` tells of every cell of a wide grid; it adds to what the perceptron says of each
cell alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_sam2.engine.correction_evidence import FEATURES

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.engine.correction_evidence import Evidence

__all__ = ["CHANNELS", "CorrectionNet", "channels_of"]

CHANNELS: Final = FEATURES + 3
"""Numbers of a cell: the features, whether it is on the click's side, nearness of a boxed slice, the perceptron."""

WIDTHS: Final = (16, 32, 48)
"""Channels at full, half and quarter resolution."""

COARSEST: Final = 4
"""Cells that one of the coarsest level spans."""

LEAST: Final = 12
"""Cells along every axis: torch 2.13 leaves gradients of 3-D convolutions in bfloat16 unset on grids of two slices."""

_GROUP: Final = 8
_FAR: Final = 5.0
"""Spreads from the mean at which features are clipped."""


def channels_of(
    evidence: Evidence,
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    alone: NDArray[np.floating],
    trusted: Collection[int] = (),
) -> NDArray[np.float32]:
    """What the network sees, (CHANNELS, slices, rows, columns).

    Parameters
    ----------
    evidence : Evidence
        Around the click.
    mean, spread : (FEATURES,) array
        With which features are normed.
    alone : (N,) array
        The perceptron's logits of the open cells.
    trusted : collection of int
        Slices that a person boxed, accepted or painted.
    """
    normed = np.clip((evidence.maps - mean) / spread, -_FAR, _FAR)
    first, stride = evidence.window[0].start, evidence.strides[0]
    at = first + stride * (np.arange(len(evidence.side)) + 0.5) - 0.5
    away = np.min([np.abs(at - index) for index in trusted], axis=0) if len(trusted) else np.full(len(at), np.inf)
    known = np.exp(-away * evidence.slice_step / stride / (2 * evidence.depth))
    prior = np.zeros(evidence.side.shape)
    prior[evidence.open] = np.clip(alone, -_FAR, _FAR)
    return np.concatenate(
        [
            np.moveaxis(normed, -1, 0),
            evidence.side[None],
            np.broadcast_to(known.reshape(1, -1, 1, 1), (1, *evidence.side.shape)),
            prior[None],
        ]
    ).astype(np.float32)


class CorrectionNet(nn.Module):
    """A U-Net of three levels, which repeats the perceptron before it is trained."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.enter = nn.Conv3d(CHANNELS, fine, 1)
        self.fine = _Block(fine)
        self.halve = nn.Conv3d(fine, middle, 2, stride=2)
        self.middle = nn.Sequential(_Block(middle), _Block(middle))
        self.quarter = nn.Conv3d(middle, coarse, 2, stride=2)
        self.coarse = nn.Sequential(_Block(coarse), _Block(coarse))
        self.to_middle = nn.Conv3d(coarse, middle, 1)
        self.middle_again = _Block(middle)
        self.to_fine = nn.Conv3d(middle, fine, 1)
        self.fine_again = _Block(fine)
        self.leave = nn.Conv3d(fine, 1, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, channels: Tensor) -> Tensor:
        """Logits (N, slices, rows, columns) of cells, from (N, CHANNELS, slices, rows, columns)."""
        slices, rows, columns = channels.shape[2:]
        missing = [max(LEAST - n, -n % COARSEST) for n in (columns, rows, slices)]
        padded = functional.pad(channels, [0, missing[0], 0, missing[1], 0, missing[2]], mode="replicate")
        fine = self.fine(self.enter(padded))
        middle = self.middle(self.halve(fine))
        coarse = self.coarse(self.quarter(middle))
        middle = self.middle_again(middle + _grown(self.to_middle(coarse)))
        fine = self.fine_again(fine + _grown(self.to_fine(middle)))
        logits: Tensor = self.leave(fine)[:, 0, :slices, :rows, :columns] + channels[:, -1]
        return logits


class _Block(nn.Module):
    """A convolution, normed over groups of channels, added to what was there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(width // _GROUP, width)

    def forward(self, values: Tensor) -> Tensor:
        made: Tensor = values + functional.silu(self.norm(self.convolution(values)))
        return made


def _grown(coarse: Tensor) -> Tensor:
    """Twice as many cells."""
    return functional.interpolate(coarse, scale_factor=2, mode="nearest")
