"""The network of `napari_sam2.engine.correction_net` in torch, to be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch import nn
from torch.nn import functional

from napari_sam2.engine.correction_net import CHANNELS, GROUP, padding

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CorrectionNet"]

WIDTHS: Final = (16, 32, 48)
"""Channels at full, half and quarter resolution."""


class CorrectionNet(nn.Module):
    """A U-Net of three levels.

    Before it is trained it repeats the last channel: what the perceptron says.

    Parameters
    ----------
    channels : int
        Numbers of a cell.
    """

    def __init__(self, channels: int = CHANNELS) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.enter = nn.Conv3d(channels, fine, 1)
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
        for values in self.leave.parameters():
            nn.init.zeros_(values)

    def forward(self, channels: Tensor) -> Tensor:
        """Logits of cells.

        (N, slices, rows, columns), from (N, CHANNELS, slices, rows, columns).
        """
        slices, rows, columns = channels.shape[2:]
        missing = [padding(count) for count in (columns, rows, slices)]
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
        self.norm = nn.GroupNorm(width // GROUP, width)

    def forward(self, values: Tensor) -> Tensor:
        made: Tensor = values + functional.silu(self.norm(self.convolution(values)))
        return made


def _grown(coarse: Tensor) -> Tensor:
    """Twice as many cells."""
    return functional.interpolate(coarse, scale_factor=2, mode="nearest")
