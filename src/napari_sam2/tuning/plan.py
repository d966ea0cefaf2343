"""How long a run learns.

A number of steps, measured once, written down, and kept when the run is resumed.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.channels.mix import AUTO
from napari_sam2.core.checked import number_of, text_of, whole_of
from napari_sam2.core.mix import mix_from_json
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam2.core.mix import Mix

__all__ = ["CHUNKS", "LONGEST", "RUN", "Plan", "read_plan", "seconds_of", "steps_for"]

CHUNKS: Final = 10
"""Parts of a run: after each there is a checkpoint and a point of the learning curve."""

RUN: Final = "run"
"""Folder of what a run needs to go on; it is gone when the run is done."""

LONGEST: Final = 7 * 24 * 60
"""Minutes."""

FEWEST_STEPS: Final = CHUNKS
MOST_STEPS: Final = 10**9
MOST_THREADS: Final = 4096
WARM, TIMED = 2, 5
"""Steps before the measurement, and steps that are measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides what comes out of a run, beside the scans.

    Attributes
    ----------
    steps : int
        Steps to learn.
    threads : int
        Of PyTorch; another number adds up in another order.
    seed : int
        Of everything drawn.
    minutes : float
        What was asked for; the steps follow from it and the machine's rate.
    parent : str
        SHA-256 of the weights that it begins from.
    inputs : str
        SHA-256 of the split, which holds the hashes of all images, channels and labels.
    register, fusion : str
        How channels were laid on their scans, and what was asked to be seen of them.
    mix : dict, optional
        What came of it, see `napari_sam2.core.mix.mix_to_json`; None where there are no channels.
    """

    steps: int
    threads: int
    seed: int
    minutes: float
    parent: str
    inputs: str
    register: str = ""
    fusion: str = AUTO
    mix: dict[str, Any] | None = None

    @property
    def chunk(self) -> int:
        """Steps between two checkpoints."""
        return max(1, self.steps // CHUNKS)

    def mix_of(self, n_channels: int) -> Mix | None:
        """What is seen of the reference and its channels.

        Raises
        ------
        UserInputError
            If the plan does not say it, though there are channels, or says what cannot be.
        """
        try:
            mix = mix_from_json(self.mix, n_channels)
        except (ValueError, TypeError, KeyError) as error:
            raise UserInputError(f"The run's plan is damaged ({error}); begin anew in another folder.") from error
        if (mix is not None) != (n_channels > 1):
            raise UserInputError(
                "The run's plan does not fit the channels of the scans; give the scans that the run began with, or "
                "begin anew in another folder."
            )
        return mix

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_plan(file: Path) -> Plan:
    """A plan from its file.

    Raises
    ------
    UserInputError
        If it is not there, or anything else.
    """
    folder = file.parent.parent.name
    try:
        plan = Plan(**json.loads(file.read_text(encoding="utf-8")))
        whole_of(plan.steps, 1, MOST_STEPS, "the steps")
        whole_of(plan.threads, 1, MOST_THREADS, "the threads")
        whole_of(plan.seed, 0, 2**32 - 1, "the seed")
        number_of(plan.minutes, 0, LONGEST, "the minutes")
        text_of(plan.parent, "the parent")
        text_of(plan.inputs, "the inputs")
        text_of(plan.register, "the registration")
        text_of(plan.fusion, "the fusion")
    except FileNotFoundError as error:
        raise UserInputError(f"{folder} holds no run to go on with; start without --resume.") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserInputError(
            f"{folder}/{RUN}/{file.name} cannot be read, so that its run cannot go on; begin anew in another folder."
        ) from error
    return plan


def seconds_of(step: Callable[[], None], threads: int) -> float:
    """Seconds of a step on a processor that does nothing else.

    The process's own time, so that other programs do not shorten the run.
    """
    for _ in range(WARM):
        step()
    started = time.process_time()
    for _ in range(TIMED):
        step()
    return max(1e-6, (time.process_time() - started) / TIMED / threads)


def steps_for(minutes: float, seconds: float) -> int:
    """How many steps go into so many minutes.

    Never fewer than a curve needs.
    """
    return max(FEWEST_STEPS, int(60 * minutes / seconds))
