"""What a person gave on a slice: a box, and clicks.

A journal remembers it; a network that is tuned on finished scans begins with it, in place of invented prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GivenPrompts"]


@dataclass(frozen=True, slots=True, eq=False)
class GivenPrompts:
    """Box and clicks of a person on one slice.

    Attributes
    ----------
    corners : Tensor, (0 or 2, 2)
        Opposite corners (x, y) of the box, at its outer edges; none without a box.
    points : Tensor, (N, 2)
        Clicks (x, y), in the order in which they were given.
    labels : Tensor, (N,) int64
        1 for a click that includes, 0 for one that excludes.
    """

    corners: Tensor
    points: Tensor
    labels: Tensor

    @property
    def kind(self) -> str:
        """The first prompt: ``"box"`` or ``"click"``."""
        return "box" if len(self.corners) else "click"

    def moved(self, turn: Tensor, origin: Tensor) -> GivenPrompts:
        """The same in another frame.

        Its axes are those of before, turned by quarters or mirrored.

        Parameters
        ----------
        turn : Tensor, (2, 2)
            From the new frame to the old one; its columns are axes, so that a box stays a box.
        origin : Tensor, (2,)
            Old place of the new origin.
        """
        return GivenPrompts((self.corners - origin) @ turn, (self.points - origin) @ turn, self.labels)

    @property
    def box(self) -> Tensor:
        """Edges x0, y0, x1, y1 of the box, (4,)."""
        return torch.cat([self.corners.amin(0), self.corners.amax(0)])
