"""How far a long run is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Pieces done, of how many.

    Attributes
    ----------
    done, total : int
        Slices or tiles visited, and at most to be visited; a total of 0 when it is not known yet.
    seconds_left : float
        At the present pace; NaN when it is not known.
    """

    done: int
    total: int
    seconds_left: float = float("nan")
