"""Runs of ``napari-sam2 evaluate --protocol segfm``, and their comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.cli.printing import errors, out
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_sam2.evaluation.cases import Case
    from napari_sam2.evaluation.predictors import Predictor

__all__ = ["print_comparison", "score_cases"]


def score_cases(
    cases: Iterable[tuple[Case, str]],
    predictor: Predictor,
    *,
    clicks: int,
    clicks_after: str,
    as_json: Path | None,
    about: dict[str, Any],
) -> None:
    """Score every case, and print the table.

    All figures are kept where they are wanted.

    Parameters
    ----------
    cases : iterable of (Case, str)
        With the person behind each.
    predictor : Predictor
        What answers the prompts.
    clicks, clicks_after
        As in `napari_sam2.evaluation.segfm.run_segfm`.
    as_json : Path, optional
        File for the figures; one that exists is replaced.
    about : dict
        What they were made with, for that file.
    """
    from napari_sam2.evaluation.comparison import segfm_table, to_json
    from napari_sam2.evaluation.segfm import run_segfm
    from napari_sam2.io.atomic import write_text

    if clicks_after not in ("box", "range"):
        raise UserInputError(f"--clicks-after {clicks_after}: choose box or range.")
    scores = []
    for case, subject in cases:
        scored = run_segfm(case, predictor, clicks=clicks, clicks_after=clicks_after, subject=subject)
        scores.append(scored)
        steps = " ".join(f"{value:.3f}" for value in scored.dice)
        errors.print(
            f"{case.name}, {case.label}: box {scored.box_dice:.3f}, range {scored.range_dice:.3f}, clicks {steps}"
        )
        if scored.error:
            errors.print(f"note: {scored.error}")
    if not scores:
        raise UserInputError("There is no labelled structure to score.")
    if as_json is not None:
        write_text(as_json, to_json(scores, about | {"clicks_after": clicks_after}), overwrite=True)
    out.print(segfm_table(scores))


def print_comparison(first: Path, second: Path) -> None:
    """Print the paired differences between two files of scores."""
    from napari_sam2.evaluation.comparison import compare, read_scores

    text = compare(read_scores(first), read_scores(second))
    out.print(f"A is {first.name}, B is {second.name}; Dice, and surface Dice at 2 mm (nsd).")
    out.print(text)
