"""Which candidates are the nuclei: a set in which none holds another.

From the smallest to the largest, a candidate is taken in place of its parts when it is worth more than they are,
weighted by their areas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.slides.nuclei.regions import Candidates

__all__ = ["choose"]

_ITSELF, _REGIONS, _PARTS = range(3)


def choose(candidates: Candidates, worth: NDArray[np.float64]) -> list[int]:
    """Numbers of the candidates that are taken."""
    is_part = candidates.column("is_part") > 0
    area, parents = candidates.column("area"), candidates.parents
    count = len(parents)
    weight, total = np.zeros((2, count)), np.zeros((2, count))
    best, taken = np.zeros(count), np.zeros(count, dtype=int)
    # Parts by shape have no parts of their own, but may come after what they are parts of.
    for number in [*np.flatnonzero(is_part), *np.flatnonzero(~is_part)]:
        sums = [total[k, number] / weight[k, number] if weight[k, number] else 0.0 for k in (0, 1)]
        values = (worth[number], *sums)
        taken[number] = int(np.argmax(values))
        best[number] = values[taken[number]]
        parent = parents[number]
        if parent >= 0:
            kind = int(is_part[number])
            weight[kind, parent] += area[number]
            total[kind, parent] += area[number] * best[number]
    children: list[list[int]] = [[] for _ in range(count)]
    for number, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(number)
    chosen: list[int] = []
    waiting = np.flatnonzero(parents < 0).tolist()
    while waiting:
        number = waiting.pop()
        if taken[number] == _ITSELF:
            chosen.append(number)
        else:
            waiting += [child for child in children[number] if is_part[child] == (taken[number] == _PARTS)]
    return chosen
