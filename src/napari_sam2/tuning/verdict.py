"""Whether tuned weights are better.

On subjects that they have not seen, with nothing lost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.evaluation.comparison import bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.evaluation.segfm import SegfmScores

__all__ = ["GUARD_LOSS", "Change", "Scores", "Verdict", "judge"]

LEAST_GAIN: Final = 0.01
"""Mean Dice that a tuning must gain."""

LEAST_GAIN_ALONE: Final = 0.03
"""The same with one held-out subject, where there is no interval."""

STRUCTURE_LOSS: Final = 0.03
"""Mean Dice that a structure of two or more held-out subjects may lose."""

GUARD_LOSS: Final = 0.02
"""Mean Dice that the scans in the package may lose."""

LEAST_WORTH: Final = 0.5
"""Part of what the image was worth before that it must be worth after, and more than nothing: labels that do not belong
to their images teach shapes and places, and a model then answers better without looking."""


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one model.

    Attributes
    ----------
    held_out : sequence of SegfmScores
        Of the subjects that nobody learned from.
    hidden : sequence of SegfmScores
        Of the same with the image hidden; boxes only.
    guard : sequence of SegfmScores
        Of the scans in the package; boxes only.
    """

    held_out: Sequence[SegfmScores]
    hidden: Sequence[SegfmScores]
    guard: Sequence[SegfmScores]


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and after, as means.

    Attributes
    ----------
    name : str
        Of the structure, or what it is the mean of.
    subjects, scans : int
        How many stand behind it.
    box, clicks : tuple of float
        Dice of the carried box, and after three clicks: before and after. NaN where there were no clicks.
    gain : float
        Of the mean of both.
    low, high : float
        90 % interval of the gain by bootstrap over subjects; NaN with one subject.
    """

    name: str
    subjects: int
    scans: int
    box: tuple[float, float]
    clicks: tuple[float, float]
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a tuning came to.

    Attributes
    ----------
    better : bool
        Whether it may be used.
    reasons : tuple of str
        One sentence for each rule, with its figures.
    overall : Change
        Of all held-out structures.
    structures : tuple of Change
        Of each by name.
    hidden : Change
        Of all held-out structures with the image hidden.
    guard : Change
        Of the scans in the package.
    """

    better: bool
    reasons: tuple[str, ...]
    overall: Change
    structures: tuple[Change, ...]
    hidden: Change
    guard: Change

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON, rounded.

        None stands where there is no figure.
        """
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def judge(before: Scores, after: Scores) -> Verdict:
    """Compare scores of the same structures, pair by pair."""
    overall = _change("all held-out structures", before.held_out, after.held_out)
    names = sorted({score.label for score in before.held_out})
    structures = tuple(_change(name, _of(before.held_out, name), _of(after.held_out, name)) for name in names)
    hidden = _change("held-out structures with the image hidden", before.hidden, after.hidden)
    guard = _change("scans in the package", before.guard, after.guard)
    rules = [
        _gain_rule(overall),
        *(
            (
                change.gain >= -STRUCTURE_LOSS,
                f"{change.name} changes by {change.gain:+.3f} (at least -{STRUCTURE_LOSS}).",
            )
            for change in structures
            if change.subjects > 1
        ),
        _worth_rule(overall, hidden),
        (guard.gain >= -GUARD_LOSS, f"Other structures change by {guard.gain:+.3f} (at least -{GUARD_LOSS})."),
    ]
    reasons = tuple(("met: " if met else "not met: ") + sentence for met, sentence in rules)
    return Verdict(all(met for met, _ in rules), reasons, overall, structures, hidden, guard)


def _gain_rule(overall: Change) -> tuple[bool, str]:
    if overall.subjects < 2:
        return (
            overall.gain >= LEAST_GAIN_ALONE,
            f"The one held-out subject gains {overall.gain:+.3f} (at least +{LEAST_GAIN_ALONE}, since one subject "
            "gives no interval).",
        )
    return (
        overall.gain >= LEAST_GAIN and overall.low > 0,
        f"Held-out subjects gain {overall.gain:+.3f} (at least +{LEAST_GAIN}), 90 % interval {overall.low:+.3f} to "
        f"{overall.high:+.3f} (above 0).",
    )


def _worth_rule(seen: Change, hidden: Change) -> tuple[bool, str]:
    """Whether the image still counts: how much more of a carried box is right than with the image hidden."""
    before, after = (seen.box[k] - hidden.box[k] for k in (0, 1))
    return (
        after > 0 and after >= LEAST_WORTH * before,
        f"The image is worth {after:+.3f} of a carried box, {before:+.3f} before (above 0, and at least "
        f"{LEAST_WORTH:g} of it).",
    )


def _change(name: str, before: Sequence[SegfmScores], after: Sequence[SegfmScores]) -> Change:
    pairs = list(zip(before, after, strict=True))
    boxes = np.array([[one.box_dice, two.box_dice] for one, two in pairs])
    clicks = np.array([[_last(one), _last(two)] for one, two in pairs])
    change = np.diff(np.nanmean(np.stack([boxes, clicks]), axis=0), axis=1)[:, 0]
    subjects = [one.subject for one, _ in pairs]
    several = len(set(subjects)) > 1
    low, high = bootstrap_interval(change, subjects) if several else (float("nan"),) * 2
    return Change(
        name,
        len(set(subjects)),
        len({one.case for one, _ in pairs}),
        _pair(boxes),
        _pair(clicks),
        float(change.mean()),
        low,
        high,
    )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[:, 0].mean()), float(values[:, 1].mean())


def _last(score: SegfmScores) -> float:
    return score.dice[-1] if score.dice else float("nan")


def _of(scores: Sequence[SegfmScores], name: str) -> list[SegfmScores]:
    return [score for score in scores if score.label == name]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 4)
    return value
