"""What learns, whichever network it is: the protocol between a run and a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.training.pool import PoolVolume

__all__ = ["CurvePoint", "Learner", "LearnerFactory"]


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
        """Learn to the end of the plan, from the checkpoint where there is one.

        Whether the end was reached; a checkpoint is left where it was stopped.
        """
        ...

    def curve(self) -> list[CurvePoint]:
        """The curve so far, one point for each part of the run."""
        ...

    def write(self, folder: Path) -> None:
        """Write ``model.safetensors`` and its configuration into an existing folder."""
        ...


class LearnerFactory(Protocol):
    """Makes a learner: for the measurement first, then for the run."""

    def __call__(
        self, parent: SegmentationModel, scans: Sequence[PoolVolume], folder: Path, steps: int, chunk: int, seed: int
    ) -> Learner:
        """A learner.

        Parameters
        ----------
        parent : SegmentationModel
            What to begin with; it is left as it is.
        scans : sequence of PoolVolume
            What to learn from.
        folder : Path
            Where checkpoints go.
        steps, chunk, seed : int
            As in `napari_sam2.tuning.plan.Plan`.
        """
        ...
