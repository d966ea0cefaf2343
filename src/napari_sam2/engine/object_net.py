"""The network that cuts an object anew from what is known of it after a click; small enough for one core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import nn
from torch.nn import functional

from napari_sam2.engine.object_evidence import CHANNELS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ObjectNet"]

WIDTHS: Final = (12, 24, 36)
"""Channels at full, half and quarter resolution."""

COARSEST: Final = 4
"""Cells that one of the coarsest level spans."""

SHARE_CHANNEL: Final = 3
"""The channel with the mask as it is, -1 to 1: the answer begins with it."""


class ObjectNet(nn.Module):
    """A U-Net of three levels, which answers with the mask as it is before it is trained."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.enter = nn.Conv3d(CHANNELS, a, 1)
        self.down = nn.ModuleList([_Block(a, a), _Block(a, b), _Block(b, c)])
        self.up = nn.ModuleList([_Block(c + b, b), _Block(b + a, a)])
        self.leave = nn.Conv3d(a, 1, 1)
        self.prior = nn.Parameter(torch.tensor(3.0))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, channels: Tensor) -> Tensor:
        """Logits (N, slices, rows, columns) of cells, from (N, CHANNELS, slices, rows, columns)."""
        slices, rows, columns = channels.shape[2:]
        missing = [-n % COARSEST for n in (columns, rows, slices)]
        channels = functional.pad(channels, [0, missing[0], 0, missing[1], 0, missing[2]], mode="replicate")
        fine = self.down[0](self.enter(channels))
        middle = self.down[1](functional.avg_pool3d(fine, 2))
        coarse = self.down[2](functional.avg_pool3d(middle, 2))
        middle = self.up[0](torch.cat([_grown(coarse), middle], 1))
        fine = self.up[1](torch.cat([_grown(middle), fine], 1))
        logits: Tensor = self.leave(fine)[:, 0] + self.prior * channels[:, SHARE_CHANNEL]
        return logits[:, :slices, :rows, :columns]


class _Block(nn.Module):
    """Two convolutions, each normed over groups of channels."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv3d(given, made, 3, padding=1), nn.Conv3d(made, made, 3, padding=1)])
        self.norms = nn.ModuleList([nn.GroupNorm(made // 6, made), nn.GroupNorm(made // 6, made)])

    def forward(self, values: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            values = functional.silu(norm(convolution(values)))
        return values


def _grown(coarse: Tensor) -> Tensor:
    """Twice as many cells."""
    return functional.interpolate(coarse, scale_factor=2, mode="nearest")
