"""Scores on labelled volumes.

Of a model, of classical methods, and of the model with the image hidden.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.evaluation.baselines import (
    copy_through,
    ellipse_in_box,
    flood_from_click,
    otsu_in_box,
    walk_from_clicks,
    walk_through,
)
from napari_sam2.evaluation.cases import Case, blanked, make_case, slice_stack
from napari_sam2.evaluation.protocols import END_TOLD, PROTOCOLS, deepest_pixel, next_click, run_protocols, tight_box
from napari_sam2.measures.metrics import dice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.engine.verbs import AnyModel

__all__ = ["CaseScores", "evaluate", "evaluate_case", "evaluate_volume"]

logger = logging.getLogger(__name__)

FLOOD_TOLERANCES: Final = (0.05, 0.1)
"""Of the window's width; 0.05 was the best of four on a development set, so it flatters the baseline."""


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Dice values of one object.

    Attributes
    ----------
    name, label : str
        Volume and object.
    model, blank, baselines : dict of str to float
        By protocol, the same with the image hidden, and by ``protocol: method``.
    """

    name: str
    label: str
    model: dict[str, float]
    blank: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)


def evaluate(
    cases: Iterable[Case],
    model: AnyModel,
    *,
    protocols: Sequence[str] = PROTOCOLS,
    blank: bool = True,
    baselines: bool = True,
) -> list[CaseScores]:
    """Score a model on several cases; see `evaluate_case`."""
    return [evaluate_case(case, model, protocols=protocols, blank=blank, baselines=baselines) for case in cases]


def evaluate_volume(
    volume: Volume,
    labels: NDArray[np.integer],
    names: Mapping[int, str],
    model: AnyModel,
    *,
    protocols: Sequence[str] = PROTOCOLS,
    blank: bool = True,
    baselines: bool = True,
) -> list[CaseScores]:
    """Score a model on labels of one volume.

    Parameters
    ----------
    volume : Volume
        The scan.
    labels : (I, J, K) integer array
        Label map on the same grid.
    names : mapping of int to str
        Which labels, and what to call them.
    model, protocols, blank, baselines
        As in `evaluate_case`.
    """
    cases = [make_case(volume.source.name, name, volume, labels == value) for value, name in names.items()]
    return evaluate(cases, model, protocols=protocols, blank=blank, baselines=baselines)


def evaluate_case(
    case: Case,
    model: AnyModel,
    *,
    protocols: Sequence[str] = PROTOCOLS,
    blank: bool = True,
    baselines: bool = True,
) -> CaseScores:
    """Score a model on one object.

    Parameters
    ----------
    case : Case
    model : SegmentationModel
    protocols : sequence of str
        Some of `napari_sam2.evaluation.protocols.PROTOCOLS`.
    blank : bool
        Also with the image hidden.
    baselines : bool
        Also by classical methods with the same prompts.
    """
    names = tuple(protocols)
    scores, masks = run_protocols(case, model, names)
    hidden = run_protocols(blanked(case), model, names)[0] if blank else {}
    classical = _baselines(case, masks, names) if baselines else {}
    logger.info("%s, %s: %s", case.name, case.label, {k: round(v, 3) for k, v in scores.items()})
    return CaseScores(case.name, case.label, scores, hidden, classical)


def _baselines(case: Case, masks: Mapping[str, NDArray[np.bool_]], protocols: tuple[str, ...]) -> dict[str, float]:
    images, truths = slice_stack(case)
    image, truth = images[case.index], truths[case.index]
    scores: dict[str, float] = {}
    if "box" in protocols:
        box = tight_box(truth)
        shape = (image.shape[0], image.shape[1])
        scores["box: ellipse"] = dice(ellipse_in_box(shape, box), truth)
        scores["box: otsu"] = dice(otsu_in_box(image, box), truth)
    if "clicks" in protocols:
        for tolerance in FLOOD_TOLERANCES:
            flooded = flood_from_click(image, deepest_pixel(truth), tolerance)
            scores[f"click1: flood {tolerance:g}"] = dice(flooded, truth)
        scores |= _walker_clicks(image, truth)
    for protocol, first in (("box-propagate", masks.get("box")), ("mask-propagate", truth)):
        if protocol in protocols and first is not None:
            present = np.asarray(truths.any((1, 2)), bool)
            everywhere = copy_through(first, case.index, np.ones(len(truths), bool))
            walked = walk_through(images, first, case.index)
            scores[f"{protocol}: copy"] = dice(everywhere, truths)
            scores[f"{protocol}: walker"] = dice(walked, truths)
            scores[f"{protocol}: copy{END_TOLD}"] = dice(everywhere & present[:, None, None], truths)
            scores[f"{protocol}: walker{END_TOLD}"] = dice(walked & present[:, None, None], truths)
    return scores


def _walker_clicks(image: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, float]:
    clicks, include = [deepest_pixel(truth)], [1]
    scores: dict[str, float] = {}
    for count in range(1, 4):
        answer = walk_from_clicks(image, clicks, include)
        scores[f"click{count}: walker"] = dice(answer, truth)
        click = next_click(answer, truth)
        if click is not None:
            clicks.append(click[0])
            include.append(int(click[1]))
    scores.pop("click2: walker")
    return scores
