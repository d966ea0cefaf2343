"""The size of a picture's pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Mpp"]


@dataclass(frozen=True, slots=True)
class Mpp:
    """The size of a level-0 pixel.

    Attributes
    ----------
    row, col : float
        Microns from one row, and from one column, to the next.
    origin : str
        Where it stands: ``"given"``, ``"OME-XML PhysicalSize"``, a slide property, ...
    """

    row: float
    col: float
    origin: str

    @property
    def area(self) -> float:
        """Square microns of one pixel."""
        return self.row * self.col

    @property
    def mean(self) -> float:
        """Microns per pixel when one number has to do."""
        return math.sqrt(self.row * self.col)
