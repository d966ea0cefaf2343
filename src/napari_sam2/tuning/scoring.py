"""Scores before and after, on scans that nobody learned from.

A box is carried through the volume, then three clicks follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.window import choose_window
from napari_sam2.evaluation.cases import blanked, make_case
from napari_sam2.evaluation.predictors import SessionPredictor
from napari_sam2.evaluation.segfm import SegfmScores, run_segfm
from napari_sam2.io.labels import read_labels
from napari_sam2.io.read import read_only_volume
from napari_sam2.sample_data import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam2.evaluation.cases import Case
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.tuning.cases import FinishedScan

__all__ = ["CLICKS", "GUARD", "PARTS", "ScoringStoppedError", "count_scored", "score"]

CLICKS: Final = 3

PARTS: Final = ("held_out", "hidden", "guard")
"""What is scored before and after; see `score`."""

GUARD: Final = {"ct_abdomen": (1, 21, 52, 77), "mr_spine": (1,)}
"""Sample in the package -> ids of its structures that must not be forgotten: no tuning learns from them."""


class ScoringStoppedError(Exception):
    """Somebody asked to stop."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A case with the person behind it, and how many clicks follow its box."""

    case: Case
    subject: str
    clicks: int


def count_scored(scans: Sequence[FinishedScan]) -> int:
    """How many structures are scored.

    Of held-out scans, seen and hidden, and of the guard.
    """
    return 2 * sum(len(scan.names) for scan in scans) + sum(len(ids) for ids in GUARD.values())


def score(
    part: str,
    scans: Sequence[FinishedScan],
    model: SegmentationModel,
    *,
    on_scored: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[SegfmScores]:
    """Score one part of what a verdict asks for.

    Parameters
    ----------
    part : str
        One of `PARTS`: ``"held_out"`` (a box and clicks for the largest connected part of every structure of every
        scan), ``"hidden"`` (the box of the same with the image hidden, so that the answer comes from the box and from
        what a model knows of shapes), ``"guard"`` (the box of every structure of `GUARD`).
    scans : sequence of FinishedScan
        Held out.
    model : SegmentationModel
        Who answers.
    on_scored : callable
        Called after each structure.
    should_stop : callable
        Asked before each structure.

    Raises
    ------
    ScoringStoppedError
        When it said so.
    """
    asked = {"held_out": _held_out, "hidden": _hidden, "guard": _guard}[part](scans)
    return _scored(asked, model, on_scored, should_stop)


def _scored(
    cases: Iterator[_Asked],
    model: SegmentationModel,
    on_scored: Callable[[], None],
    should_stop: Callable[[], bool],
) -> list[SegfmScores]:
    predictor = SessionPredictor(model)
    scores = []
    for case in cases:
        if should_stop():
            raise ScoringStoppedError
        scores.append(run_segfm(case.case, predictor, clicks=case.clicks, boxes=("box",), subject=case.subject))
        on_scored()
    return scores


def _held_out(scans: Sequence[FinishedScan]) -> Iterator[_Asked]:
    subjects = {subject: f"subject {n}" for n, subject in enumerate(dict.fromkeys(s.subject for s in scans), start=1)}
    for scan in scans:
        volume, labels, names = scan.read()
        image, window = scan.image_seen(volume)
        # Before a mix is settled, a model sees channels in its own way.
        stack = scan.stack(volume) if scan.channels and scan.mix is None else None
        for label_id, name in names.items():
            case = make_case(scan.key, name, image, np.asarray(labels == label_id), window)
            yield _Asked(replace(case, channels=stack, fusion=scan.fusion), subjects[scan.subject], CLICKS)


def _hidden(scans: Sequence[FinishedScan]) -> Iterator[_Asked]:
    return (_Asked(blanked(asked.case), asked.subject, 0) for asked in _held_out(scans))


def _guard(_: Sequence[FinishedScan]) -> Iterator[_Asked]:
    for name, ids in GUARD.items():
        image, labels_file, names = sample(name)
        volume = read_only_volume(image)
        labels = read_labels(labels_file, volume)
        window = choose_window(volume)
        for label_id in ids:
            yield _Asked(make_case(name, names[label_id], volume, labels == label_id, window), name, 0)
