"""The protocol between a run and the network that learns."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CurvePoint", "Learner", "read_curve"]


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


def read_curve(file: Path) -> list[dict[str, Any]]:
    """The rows of a curve's file, one JSON object a line.

    A line that a kill has torn is left out: its part of the run is done again. Nothing where there is no file.
    """
    rows = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []:
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict):
                rows.append(row)
    return rows


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
