"""How good an outline a candidate is.

Its expected IoU with a nucleus.

A network of one hidden layer on what is measured of a candidate, fitted by ``benchmarks/nuclei_fit.py`` to
candidates on public fields with outlines drawn by hand; docs/slides.md names them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.slides.nuclei.regions import COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.slides.nuclei.regions import Candidates

__all__ = ["features_of", "worth_of"]

WEIGHTS: Final = "worth.json"
"""Mean and deviation of the features, weights and offsets of both layers."""

FARTHEST: Final = 4.0
"""Standard deviations beyond which a feature counts no more: nothing is known out there."""

_GROWTH_STEPS: Final = (1, 3)
_LARGEST_GROWTH: Final = 2.0


def worth_of(candidates: Candidates) -> NDArray[np.float64]:
    """Expected IoU of each candidate, 0 to 1."""
    weights = _weights()
    inputs = np.clip((features_of(candidates) - weights["mean"]) / weights["deviation"], -FARTHEST, FARTHEST)
    hidden = np.tanh(inputs @ weights["hidden"].T + weights["hidden_offset"])
    return np.asarray(1 / (1 + np.exp(-(hidden @ weights["output"] + weights["output_offset"]))))


def features_of(candidates: Candidates) -> NDArray[np.float64]:
    """What the network sees of each candidate, (N, features)."""
    column = {name: candidates.table[:, number] for number, name in enumerate(COLUMNS)}
    size = np.log(column["area"])
    fit = np.minimum(column["fit"], 1)
    return np.column_stack(
        [
            size,
            size**2,
            fit,
            fit**4,
            column["roundness"],
            np.log(column["edge"] + 0.05),
            np.log(column["inside"] + 0.05),
            column["weak"],
            column["rise"],
            column["spread"],
            np.minimum(column["compactness"], 4),
            column["at_border"],
            column["level"],
            column["is_part"],
            column["hue"],
            *(_growth(candidates, steps) for steps in _GROWTH_STEPS),
        ]
    )


def _growth(candidates: Candidates, steps: int) -> NDArray[np.float64]:
    """Logarithm of how much larger the region is some thresholds below; capped where nothing is known of it."""
    area, numbers = candidates.column("area"), np.arange(len(candidates.parents))
    above = numbers.copy()
    for _ in range(steps):
        above = np.where(above >= 0, candidates.parents[above], -1)
    return np.where(above >= 0, np.minimum(np.log(area[above] / area), _LARGEST_GROWTH), _LARGEST_GROWTH)


@cache
def _weights() -> dict[str, NDArray[np.float64]]:
    text = resources.files("napari_sam2.slides.nuclei").joinpath(WEIGHTS).read_text(encoding="utf-8")
    return {name: np.array(values, dtype=np.float64) for name, values in json.loads(text)["weights"].items()}
