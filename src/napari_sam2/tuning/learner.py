"""The protocol between a run and the network that learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CurvePoint", "Learner"]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of the learning curve, on clips that never change.

    Attributes
    ----------
    step : int
        Steps done.
    own : float
        Mean Dice of carried slices on scans that are learned from.
    rehearsed : float
        The same on what is rehearsed; NaN where nothing is.
    """

    step: int
    own: float
    rehearsed: float


class Learner(Protocol):
    """A network that learns.

    Attributes
    ----------
    learned : str
        Which of its weights learn, in words.
    """

    learned: str

    def step(self) -> None:
        """Learn once; for the measurement of the rate, before `run`."""
        ...

    def run(self, on_step: Callable[[int], None], should_stop: Callable[[], bool]) -> bool:
        """Learn to the end of the plan.

        From the checkpoint, where there is one. Whether the end was reached; a checkpoint is left where it was stopped.
        """
        ...

    def curve(self) -> list[CurvePoint]:
        """The curve so far, one point for each part of the run."""
        ...

    def write(self, folder: Path) -> None:
        """Write ``model.safetensors`` and its configuration into an existing folder."""
        ...
