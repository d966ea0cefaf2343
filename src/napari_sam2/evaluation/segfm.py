"""Protocol ``segfm``: a box, then five clicks.

Clicks lie anywhere in the volume, and each is carried through it.

It is the protocol of the CVPR 2025 challenge (see `napari_sam2.evaluation.challenge`), one object at a time, with
tight boxes. The box is answered twice: as a slice's box alone, and with the object's slices told, which is what
``z_min`` and ``z_max`` of the challenge say.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.evaluation.challenge import CLICKS, area_under_clicks, error_click, extent_of, middle_box
from napari_sam2.evaluation.command import PredictorFailedError
from napari_sam2.io.sidecar import finite
from napari_sam2.measures.metrics import agreement, dice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.evaluation.cases import Case
    from napari_sam2.evaluation.predictors import Predictor

__all__ = ["CLICK_GOALS", "HARMFUL", "SegfmScores", "run_segfm"]

logger = logging.getLogger(__name__)

CLICK_GOALS: Final = (0.80, 0.85, 0.90)
"""Dice values to which clicks are counted."""

HARMFUL: Final = (0.005, 0.02)
"""A click that lowers the volume's Dice by more than this has done harm."""

_NOT_ASKED: Final = (float("nan"),) * 3

LOST_DICE: Final = 0.2
"""Surface Dice counts as 0 where the Dice is no more than this: the organisers' rule."""


@dataclass(frozen=True, slots=True)
class SegfmScores:
    """What one object came to.

    Attributes
    ----------
    case, label, subject : str
        Scan, structure, and the person whom the scan shows.
    voxels : int
        Size of the structure.
    slice_dice : float
        On the boxed slice, after the box.
    box_dice, box_nsd, box_seconds : float
        After the box alone, over the volume; NaN where it was not asked.
    range_dice, range_nsd, range_seconds : float
        After the box with the object's slices told.
    dice, nsd, seconds : tuple of float
        After each click, for the step; clicks follow one of the two boxes.
    before_clicks : float
        Dice of the box that the clicks follow.
    error : str
        Why there was no answer, where there was none.
    """

    case: str
    label: str
    subject: str
    voxels: int
    slice_dice: float = float("nan")
    box_dice: float = float("nan")
    box_nsd: float = float("nan")
    box_seconds: float = float("nan")
    range_dice: float = float("nan")
    range_nsd: float = float("nan")
    range_seconds: float = float("nan")
    dice: tuple[float, ...] = ()
    nsd: tuple[float, ...] = ()
    seconds: tuple[float, ...] = ()
    before_clicks: float = float("nan")
    error: str = ""

    @property
    def dsc_auc(self) -> float:
        """Area under the Dice of the clicks, at most 4 for five."""
        return area_under_clicks(self.dice)

    @property
    def nsd_auc(self) -> float:
        """The same for surface Dice."""
        return area_under_clicks(self.nsd)

    def clicks_to(self, goal: float) -> int | None:
        """How many clicks made the Dice `goal`.

        0 when the box did, None when all of them did not.
        """
        reached = [n for n, value in enumerate((self.before_clicks, *self.dice)) if value >= goal]
        return reached[0] if reached else None

    def harmful(self, margin: float) -> int:
        """How many clicks lowered the Dice by more than `margin`."""
        return int((np.diff((self.before_clicks, *self.dice)) < -margin).sum())

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; what was not measured is None."""
        values: dict[str, Any] = finite(asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegfmScores:
        """From plain values."""
        numbers: dict[str, Any] = {k: float("nan") if v is None else v for k, v in values.items()}
        for key, value in values.items():
            if isinstance(value, list):
                numbers[key] = tuple(float("nan") if number is None else number for number in value)
        return cls(**numbers)


@dataclass(eq=False)
class _Clock:
    """Asks a predictor, and counts its seconds."""

    predictor: Predictor
    case: Case
    error: str = field(init=False, default="")

    def answer(self, ask: Callable[[], None]) -> tuple[NDArray[np.bool_], float]:
        """The mask after a step, empty when there is none, and the seconds that it took."""
        started = time.perf_counter()
        try:
            ask()
            mask = self.predictor.mask()
        except PredictorFailedError as error:
            self.error = str(error)
            logger.warning("%s, %s: %s", self.case.name, self.case.label, error)
            mask = np.zeros(self.case.truth.shape, bool)
        return mask, time.perf_counter() - started


def run_segfm(
    case: Case,
    predictor: Predictor,
    *,
    clicks: int = CLICKS,
    clicks_after: str = "box",
    boxes: Sequence[str] = ("box", "range"),
    subject: str = "",
) -> SegfmScores:
    """Score a predictor on one object.

    Parameters
    ----------
    case : Case
        The object; all of its truth counts.
    predictor : Predictor
        What answers the prompts.
    clicks : int
        How many clicks follow.
    clicks_after : str
        ``"box"`` or ``"range"``: the box that the clicks follow. The challenge tells the range.
    boxes : sequence of str
        Which of the two are asked; `clicks_after` always is.
    subject : str
        The person, for comparisons; the case's name by default.
    """
    truth, axis = case.truth, case.axis
    seen = () if case.channels is None else (case.channels, case.fusion)
    box, extent = middle_box(truth, axis), extent_of(truth, axis)
    clock, steps = _Clock(predictor, case), {}
    middle = box.slice_index(axis)
    order = ("range", "box") if clicks_after == "box" else ("box", "range")
    for name in (each for each in order if each in (*boxes, clicks_after)):
        told_extent = extent if name == "range" else None
        predictor.start(case.volume, case.window, *seen)
        mask, seconds = clock.answer(partial(predictor.box, box, told_extent))
        steps[name] = (*_scores(mask, case), seconds)
    slice_dice = dice(np.take(mask, middle, axis), np.take(truth, middle, axis))
    clicked: list[tuple[float, float, float]] = []
    for _ in range(clicks):
        point = error_click(mask, truth)
        if point is None:
            clicked.append((1.0, 1.0, 0.0))
            continue
        mask, seconds = clock.answer(partial(predictor.point, point))
        clicked.append((*_scores(mask, case), seconds))
    return SegfmScores(
        case.name,
        case.label,
        subject or case.name,
        int(truth.sum()),
        slice_dice,
        *steps.get("box", _NOT_ASKED),
        *steps.get("range", _NOT_ASKED),
        dice=tuple(step[0] for step in clicked),
        nsd=tuple(step[1] for step in clicked),
        seconds=tuple(step[2] for step in clicked),
        before_clicks=steps[order[-1]][0],
        error=clock.error,
    )


def _scores(mask: NDArray[np.bool_], case: Case) -> tuple[float, float]:
    """Dice and surface Dice at 2 mm."""
    overlap = dice(mask, case.truth)
    if overlap <= LOST_DICE:
        return overlap, 0.0
    return overlap, agreement(case.truth, mask, case.volume.spacing).nsd
