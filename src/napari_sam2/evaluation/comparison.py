"""Scores of protocol ``segfm`` summed up and printed.

And compared with those of another run.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.evaluation.segfm import CLICK_GOALS, HARMFUL, SegfmScores
from napari_sam2.io.sidecar import as_json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["bootstrap_interval", "compare", "read_scores", "segfm_table", "summary", "to_json"]

DRAWS: Final = 2000
"""Bootstrap samples of subjects; the seed is fixed."""

INTERVAL: Final = (5.0, 95.0)

KIND: Final = "napari-sam2 segfm 1"


def summary(scores: Sequence[SegfmScores]) -> dict[str, float]:
    """Means over structures, and shares of clicks.

    Keys: ``structures``; ``slice``, ``box``, ``range`` and ``click1`` ... (Dice), each with `` nsd``; ``DSC_AUC``,
    ``NSD_AUC``; ``reach 0.9 by box`` and ``reach 0.9`` (share of structures); ``clicks to 0.9`` (a structure that
    does not get there counts as one click more than were given); ``harm > 0.005`` (share of clicks); ``seconds``
    of box and click (medians).
    """
    clicks = max((len(s.dice) for s in scores), default=0)
    values = {"structures": float(len(scores))}
    for name, pick in _figures(clicks).items():
        values[name] = _mean([pick(s) for s in scores])
    done = [s for s in scores if s.dice]
    if done:
        values["DSC_AUC"], values["NSD_AUC"] = (_mean([f(s) for s in done]) for f in (_dsc_auc, _nsd_auc))
    for goal in CLICK_GOALS:
        values[f"reach {goal:g} by box"] = _mean([float(s.before_clicks >= goal) for s in scores])
        if done:
            needed = [s.clicks_to(goal) for s in done]
            values[f"reach {goal:g}"] = _mean([float(n is not None) for n in needed])
            values[f"clicks to {goal:g}"] = _mean([float(clicks + 1 if n is None else n) for n in needed])
    for margin in HARMFUL:
        if done:
            values[f"harm > {margin:g}"] = sum(s.harmful(margin) for s in done) / sum(len(s.dice) for s in done)
    values["seconds of box"] = _median([s.box_seconds for s in scores])
    values["seconds of click"] = _median([t for s in done for t in s.seconds])
    values["failed"] = float(sum(bool(s.error) for s in scores))
    return values


def segfm_table(scores: Sequence[SegfmScores]) -> str:
    """Scores as Markdown: one row per structure, then what they come to."""
    clicks = max((len(s.dice) for s in scores), default=0)
    heads = ["scan", "structure", "voxels", "slice", "box", "range", *(str(n + 1) for n in range(clicks)), "NSD", "s"]
    lines = [_row(heads), "|---" * len(heads) + "|"]
    for s in scores:
        nsd = s.nsd[-1] if s.nsd else s.range_nsd
        took = s.box_seconds + sum(s.seconds)
        cells = [f"{v:.3f}" for v in (s.slice_dice, s.box_dice, s.range_dice, *s.dice, nsd)]
        lines.append(_row([s.case, s.label, str(s.voxels), *cells, f"{took:.1f}"]))
    lines += ["", "| mean over structures | |", "|---|---|"]
    lines += [_row([name, f"{value:.3f}"]) for name, value in summary(scores).items()]
    return "\n".join(lines)


def compare(first: Sequence[SegfmScores], second: Sequence[SegfmScores]) -> str:
    """Paired differences, second minus first, as Markdown.

    90 % intervals by bootstrap over subjects.

    Raises
    ------
    UserInputError
        If they have no structure in common.
    """
    before, after = ({(s.case, s.label): s for s in scores} for scores in (first, second))
    common = sorted(before.keys() & after.keys())
    if not common:
        raise UserInputError("The two files have no structure in common; score the same scans.")
    clicks = min(max(len(s.dice) for s in part.values()) for part in (before, after))
    heads = ["mean over structures", "A", "B", "B - A", "90 % interval", "better", "worse by > 0.02"]
    lines = [f"{len(common)} structures in both.", "", _row(heads), "|---" * len(heads) + "|"]
    for name, pick in (_figures(clicks) | ({"DSC_AUC": _dsc_auc, "NSD_AUC": _nsd_auc} if clicks else {})).items():
        pairs = np.array([[pick(before[key]), pick(after[key])] for key in common])
        both_scored = ~np.isnan(pairs).any(1)
        if not both_scored.any():
            continue
        change = (pairs[:, 1] - pairs[:, 0])[both_scored]
        low, high = bootstrap_interval(
            change, [before[key].subject for key, ok in zip(common, both_scored, strict=True) if ok]
        )
        means = pairs[both_scored].mean(0)
        counts = [str(int((change > 0).sum())), str(int((change < -HARMFUL[1]).sum()))]
        figures = [*(f"{m:.3f}" for m in means), f"{change.mean():+.3f}", f"{low:+.3f} to {high:+.3f}"]
        lines.append(_row([name, *figures, *counts]))
    return "\n".join(lines)


def to_json(scores: Sequence[SegfmScores], about: dict[str, Any]) -> str:
    """Scores with what they were made with, for `read_scores`."""
    content = {
        "kind": KIND,
        "about": about,
        "summary": {k: None if np.isnan(v) else round(v, 6) for k, v in summary(scores).items()},
        "scores": [s.to_dict() for s in scores],
    }
    return as_json_text(content)


def read_scores(file: Path) -> list[SegfmScores]:
    """Scores from a file of `to_json`.

    Raises
    ------
    UserInputError
        If it is anything else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise KeyError(content["kind"])
        return [SegfmScores.from_dict(values) for values in content["scores"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserInputError(
            f"{file.name} holds no scores of protocol segfm; make it with 'evaluate --protocol segfm --json'."
        ) from error


def _figures(clicks: int) -> dict[str, Callable[[SegfmScores], float]]:
    """What every structure has, by name: Dice and surface Dice of each step."""
    figures: dict[str, Callable[[SegfmScores], float]] = {
        "slice": lambda s: s.slice_dice,
        "box": lambda s: s.box_dice,
        "box nsd": lambda s: s.box_nsd,
        "range": lambda s: s.range_dice,
        "range nsd": lambda s: s.range_nsd,
    }
    for n in range(clicks):
        figures[f"click{n + 1}"] = partial(_after, "dice", n)
        figures[f"click{n + 1} nsd"] = partial(_after, "nsd", n)
    return figures


def _after(figure: str, number: int, scores: SegfmScores) -> float:
    """A figure after a click, counted from 0."""
    steps = scores.dice if figure == "dice" else scores.nsd
    return steps[number] if len(steps) > number else float("nan")


def _dsc_auc(scores: SegfmScores) -> float:
    return scores.dsc_auc


def _nsd_auc(scores: SegfmScores) -> float:
    return scores.nsd_auc


def bootstrap_interval(change: np.ndarray, subjects: Sequence[str]) -> tuple[float, float]:
    """The 90 % interval of a mean change, by resampling subjects.

    Several structures of one person are not independent.

    Parameters
    ----------
    change : (N,) array
        One value for each structure of each scan.
    subjects : sequence of str
        The person behind each.
    """
    names = sorted(set(subjects))
    groups = [change[[s == name for s in subjects]] for name in names]
    sums, counts = np.array([g.sum() for g in groups]), np.array([len(g) for g in groups])
    drawn = np.random.default_rng(0).integers(0, len(names), (DRAWS, len(names)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), INTERVAL)
    return float(low), float(high)


def _mean(values: Sequence[float]) -> float:
    numbers = [v for v in values if not np.isnan(v)]
    return float(np.mean(numbers)) if numbers else float("nan")


def _median(values: Sequence[float]) -> float:
    numbers = [v for v in values if not np.isnan(v)]
    return float(np.median(numbers)) if numbers else float("nan")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
