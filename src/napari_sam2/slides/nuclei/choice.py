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
    is_a_part = candidates.column("is_part") > 0
    is_part, area = is_a_part.tolist(), candidates.column("area").tolist()
    parents, itself = candidates.parents.tolist(), worth.tolist()
    count = len(parents)
    # Of what a candidate holds, by kind (regions, parts): the areas, and what they are worth, weighted by them.
    weight, total = ([[0.0] * count, [0.0] * count] for _ in range(2))
    taken = [_ITSELF] * count
    # Parts by shape have no parts of their own, but may come after what they are parts of.
    for number in [*np.flatnonzero(is_a_part).tolist(), *np.flatnonzero(~is_a_part).tolist()]:
        best = itself[number]
        for kind in (0, 1):
            if weight[kind][number] and total[kind][number] / weight[kind][number] > best:
                best, taken[number] = total[kind][number] / weight[kind][number], 1 + kind
        parent = parents[number]
        if parent >= 0:
            kind = int(is_part[number])
            weight[kind][parent] += area[number]
            total[kind][parent] += area[number] * best
    children: list[list[int]] = [[] for _ in range(count)]
    for number, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(number)
    chosen: list[int] = []
    waiting = [number for number, parent in enumerate(parents) if parent < 0]
    while waiting:
        number = waiting.pop()
        if taken[number] == _ITSELF:
            chosen.append(number)
        else:
            waiting += [child for child in children[number] if is_part[child] == (taken[number] == _PARTS)]
    return chosen
