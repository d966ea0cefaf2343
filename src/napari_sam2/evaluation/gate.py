"""The acceptance test of a new default model.

Four lines, each on means over volumes (so that one volume with many labels does not decide alone).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.evaluation.protocols import END_TOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari_sam2.evaluation.evaluate import CaseScores

__all__ = ["GateLine", "gate", "table"]

PROPAGATION_MARGIN: Final = 0.10
"""By how much propagation must beat copying and the random walker."""

BLANK_GAP: Final = 0.25
"""By how much Dice must drop when the image is hidden, on the mean over protocols."""

GATE_PROTOCOLS: Final = ("box", "click1", "click3", "click5", "box-propagate", "mask-propagate")


@dataclass(frozen=True, slots=True)
class GateLine:
    """One requirement.

    Attributes
    ----------
    text : str
        What is required, with the figures.
    passed : bool
    """

    text: str
    passed: bool


def gate(scores: Sequence[CaseScores]) -> list[GateLine]:
    """The four lines for a set of scored cases."""
    model = _mean_over_volumes(scores, lambda s: s.model)
    classical = _mean_over_volumes(scores, lambda s: s.baselines)
    hidden = _mean_over_volumes(scores, lambda s: s.blank)
    flood = max(value for key, value in classical.items() if key.startswith("click1: flood"))
    gaps = {key: model[key] - hidden[key] for key in GATE_PROTOCOLS if key in hidden}
    gap = float(np.mean(list(gaps.values()))) if gaps else float("nan")
    listed = ", ".join(f"{key} {value:+.3f}" for key, value in gaps.items())
    return [
        GateLine(
            f"box {model['box']:.3f} beats ellipse {classical['box: ellipse']:.3f} "
            f"and Otsu {classical['box: otsu']:.3f}",
            model["box"] > max(classical["box: ellipse"], classical["box: otsu"]),
        ),
        GateLine(
            f"one click {model['click1']:.3f} beats flood fill {flood:.3f}, and grows with clicks: "
            f"3 {model['click3']:.3f}, 5 {model['click5']:.3f}",
            model["click1"] > flood and model["click1"] < model["click3"] < model["click5"],
        ),
        _propagation_line(model, classical),
        GateLine(f"hiding the image costs {gap:.3f} on average ({listed})", gap >= BLANK_GAP),
    ]


def table(scores: Sequence[CaseScores]) -> str:
    """Scores as Markdown.

    One row per object, one per volume mean, then the comparisons.
    """
    protocols = [p for p in GATE_PROTOCOLS if any(p in s.model for s in scores)]
    lines = ["| volume | object | " + " | ".join(protocols) + " |", "|---" * (len(protocols) + 2) + "|"]
    for s in scores:
        lines.append(_row([s.name, s.label], [_pair(s, p) for p in protocols]))
    for name, group in _grouped(scores).items():
        means, hidden = _mean([s.model for s in group]), _mean([s.blank for s in group])
        lines.append(_row([f"**{name}**", f"mean of {len(group)}"], [_cell(means, hidden, p) for p in protocols]))
    model, hidden = (_mean_over_volumes(scores, part) for part in (lambda s: s.model, lambda s: s.blank))
    lines.append(_row(["**mean over volumes**", ""], [_cell(model, hidden, p) for p in protocols]))
    lines += [
        "",
        "Dice; in brackets with the image hidden.",
        "",
        "| classical method | mean over volumes |",
        "|---|---|",
    ]
    classical = _mean_over_volumes(scores, lambda s: s.baselines)
    lines += [_row([key], [f"{value:.3f}"]) for key, value in classical.items()]
    return "\n".join(lines)


def _propagation_line(model: dict[str, float], classical: dict[str, float]) -> GateLine:
    """Compare twice: end slices unknown to all methods, then known to all."""
    texts, passed = [], True
    for title, suffix in (("nobody is told", ""), ("everybody is told", END_TOLD)):
        mine = model[f"box-propagate{suffix}"]
        copied, walked = (classical[f"box-propagate: {method}{suffix}"] for method in ("copy", "walker"))
        texts.append(
            f"{mine:.3f} against copy {copied:.3f} and walker {walked:.3f} where {title} where the object ends"
        )
        passed &= mine >= max(copied, walked) + PROPAGATION_MARGIN
    return GateLine(f"box propagated beats both by {PROPAGATION_MARGIN:g}: " + "; ".join(texts), passed)


def _grouped(scores: Iterable[CaseScores]) -> dict[str, list[CaseScores]]:
    groups: dict[str, list[CaseScores]] = defaultdict(list)
    for s in scores:
        groups[s.name].append(s)
    return dict(groups)


def _mean_over_volumes(
    scores: Iterable[CaseScores], part: Callable[[CaseScores], dict[str, float]]
) -> dict[str, float]:
    return _mean([_mean([part(s) for s in group]) for group in _grouped(scores).values()])


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    keys = dict.fromkeys(key for v in values for key in v)
    return {key: float(np.mean([v[key] for v in values if key in v])) for key in keys}


def _pair(scores: CaseScores, protocol: str) -> str:
    return _cell(scores.model, scores.blank, protocol)


def _cell(model: dict[str, float], hidden: dict[str, float], protocol: str) -> str:
    if protocol not in model:
        return ""
    return f"{model[protocol]:.3f}" + (f" ({hidden[protocol]:.2f})" if protocol in hidden else "")


def _row(heads: list[str], cells: list[str]) -> str:
    return "| " + " | ".join([*heads, *cells]) + " |"
