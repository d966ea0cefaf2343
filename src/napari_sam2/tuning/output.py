"""The files that a tuning leaves in its folder.

Weights or none, a card, figures and the curve; no paths and no names of people.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.channels.mix import said_mix
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import write_bytes, write_text
from napari_sam2.io.sidecar import as_json_text, finite, software_versions
from napari_sam2.models.checkpoint import CONFIG, WEIGHTS
from napari_sam2.models.seen import CHANNELS, REPORT, seen_to_json
from napari_sam2.tuning.curve import draw_curve
from napari_sam2.tuning.scoring import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_sam2.evaluation.segfm import SegfmScores
    from napari_sam2.models.base import ModelCard
    from napari_sam2.models.seen import SeenChannels
    from napari_sam2.tuning.learner import CurvePoint
    from napari_sam2.tuning.plan import Plan
    from napari_sam2.tuning.verdict import Change, Scores, Verdict

__all__ = ["CARD", "CURVE", "REJECTED", "REPORT", "SPLIT", "Tuned", "write_output"]

CARD: Final = "card.md"
CURVE: Final = "curve.png"
SPLIT: Final = "split.json"
REJECTED: Final = "rejected"
"""Folder of weights that are not better: they cannot be mistaken for a model there."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """All that is known at the end of a run.

    Attributes
    ----------
    name : str
        What the user calls it.
    parent : ModelCard
        What it began from.
    learned : str
        Which weights learned.
    plan : Plan
        Steps, seed, threads.
    scans, subjects, held_out : int
        How many were given, and subjects held out.
    verdict : Verdict
        Better or not, and why.
    curve : sequence of CurvePoint
        The learning curve.
    scores : mapping of str to Scores
        Under ``before`` and ``after``.
    channels : tuple of str
        Further channels of the scans.
    seen : SeenChannels, optional
        Those that it needs; None where it learned from the scans alone.
    """

    name: str
    parent: ModelCard
    learned: str
    plan: Plan
    scans: int
    subjects: int
    held_out: int
    verdict: Verdict
    curve: Sequence[CurvePoint]
    scores: dict[str, Scores]
    channels: tuple[str, ...] = ()
    seen: SeenChannels | None = None


def write_output(folder: Path, written: Path, tuned: Tuned) -> None:
    """Put everything in place, the weights last.

    Parameters
    ----------
    folder : Path
        Of the run.
    written : Path
        Holds the new weights and their configuration, on the same disk; they are moved.
    tuned : Tuned
        What is known.
    """
    target = folder if tuned.verdict.better else folder / REJECTED
    target.mkdir(exist_ok=True)
    sha256 = sha256_of(written / WEIGHTS)
    write_bytes(folder / CURVE, draw_curve(tuned.curve, tuned.plan.steps), overwrite=True)
    write_text(folder / REPORT, as_json_text(finite(_report(tuned, sha256))), overwrite=True)
    write_text(folder / CARD, _card(tuned, sha256), overwrite=True)
    if tuned.seen is not None:
        write_text(target / CHANNELS, json.dumps(seen_to_json(tuned.seen), indent=1) + "\n", overwrite=True)
    for name in (CONFIG, WEIGHTS):
        (written / name).replace(target / name)


def _report(tuned: Tuned, sha256: str) -> dict[str, Any]:
    return {
        "version": 1,
        "name": tuned.name,
        "sha256": sha256,
        "parent": {key: getattr(tuned.parent, key) for key in ("name", "revision", "sha256", "license")},
        "learned": tuned.learned,
        "plan": asdict(tuned.plan),
        "scans": tuned.scans,
        "subjects": tuned.subjects,
        "held_out_subjects": tuned.held_out,
        "verdict": tuned.verdict.to_dict(),
        "curve": [
            {key: _finite(value) for key, value in asdict(point).items()} for point in tuned.curve
        ],
        "scores": {
            when: {part: [_without_times(score) for score in getattr(scores, part)] for part in PARTS}
            for when, scores in tuned.scores.items()
        },
        **_channels(tuned),
        "versions": software_versions(),
    }  # fmt: skip


def _channels(tuned: Tuned) -> dict[str, Any]:
    """What the report says of channels; nothing where there are none."""
    if not tuned.channels:
        return {}
    seen = None if tuned.seen is None else seen_to_json(tuned.seen)
    return {"channels": {"given": list(tuned.channels), "seen": seen}}


def _said_channels(tuned: Tuned) -> list[str]:
    """A row of the card."""
    if not tuned.channels:
        return []
    given = _cell(", ".join(tuned.channels))
    if tuned.seen is None:
        return [f"| channels | {given}; none is needed, the reference alone parts the structures as well |"]
    seen = _cell(said_mix(tuned.seen.mix, ("reference", *tuned.seen.names)))
    return [f"| channels | {given}; it sees {seen}, and needs {_cell(', '.join(tuned.seen.names))} of every scan |"]


def _without_times(score: SegfmScores) -> dict[str, Any]:
    """Scores without seconds, which no two runs share."""
    return {key: value for key, value in score.to_dict().items() if "seconds" not in key}


def _finite(value: float) -> float | None:
    return None if isinstance(value, float) and math.isnan(value) else round(value, 4)


def _card(tuned: Tuned, sha256: str) -> str:
    verdict, plan = tuned.verdict, tuned.plan
    title = f"# Model card: {_cell(tuned.name)}, tuned on finished scans"
    outcome = (
        "Better on subjects that it has not seen: it can be used as a model."
        if verdict.better
        else f"**Not better: it is not used.** Its weights lie in `{REJECTED}/`; go on with the model it began from."
    )
    versions = ", ".join(f"{name} {version}" for name, version in software_versions().items())
    rows = [*verdict.structures, verdict.overall, verdict.hidden, verdict.guard]
    lines = [
        title,
        "",
        outcome,
        "",
        "**Research use only.** Not a medical device, not validated for diagnosis or treatment. Look at every slice.",
        "",
        "| | |",
        "|---|---|",
        f"| file | `{WEIGHTS}`, SHA-256 `{sha256}` |",
        f"| began from | {_cell(tuned.parent.name)} {_cell(tuned.parent.revision)}, SHA-256 `{tuned.parent.sha256}` |",
        f"| licence | that of what it began from: {_cell(tuned.parent.license) or 'unknown, ask where it came from'} |",
        f"| scans | {tuned.scans} of {tuned.subjects} subjects; {tuned.held_out} subjects held out, see `{SPLIT}` |",
        f"| what learned | {tuned.learned} |",
        *_said_channels(tuned),
        f"| run | {plan.steps} steps, seed {plan.seed}, {plan.threads} threads |",
        f"| versions | {versions} |",
        "",
        "## Before and after",
        "",
        "Dice on held-out subjects: a tight box on the middle slice, carried through the volume; then three clicks, "
        "each in the largest error. With the image hidden, only the box is left to go by. Gain is of the mean of both; "
        "the interval is a 90 % bootstrap over subjects.",
        "",
        "| structure | subjects | scans | box | three clicks | gain | interval |",
        "|---|---|---|---|---|---|---|",
        *(_row(change) for change in rows),
        "",
        *(f"- {reason}" for reason in verdict.reasons),
        "",
        f"![Learning curve]({CURVE})",
        "",
        "Held-out subjects were scored twice: before the first step and after the last. Nothing was chosen by them.",
    ]
    return "\n".join(lines) + "\n"


def _row(change: Change) -> str:
    interval = "" if math.isnan(change.low) else f"{change.low:+.3f} to {change.high:+.3f}"
    clicks = "" if math.isnan(change.clicks[0]) else _arrow(change.clicks)
    cells = [_cell(change.name), str(change.subjects), str(change.scans), _arrow(change.box), clicks]
    return "| " + " | ".join([*cells, f"{change.gain:+.3f}", interval]) + " |"


def _arrow(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3f} → {pair[1]:.3f}"


def _cell(text: str) -> str:
    """A name on one line of a Markdown table."""
    return " ".join(text.replace("|", "/").split())
