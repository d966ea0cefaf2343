"""Boxes of neighbouring slices, linked into objects in three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from napari_sam2.finding.detectors.detector import overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.finding.detectors.detector import Boxes

__all__ = ["LEAST_SECTIONS", "Chain", "Section", "linked"]

LEAST_OVERLAP: Final = 0.3
"""Intersection over union of two sections of one object, on slices that follow each other."""

LARGEST_STEP: Final = 2
"""How far apart two linked sections may be, in slices that were looked at: one may be missed."""

LEAST_SECTIONS: Final = 3
"""Fewer sections are chance, unless fewer slices were looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """An object on one of the slices that were looked at.

    Attributes
    ----------
    place : int
        Number of the slice among those that were looked at.
    edges : (4,) float array
        Outer edges ``row0, column0, row1, column1``, in mm.
    score : float
        0 to 1.
    """

    place: int
    edges: NDArray[np.float64]
    score: float

    @property
    def area(self) -> float:
        """In square mm."""
        return float(np.prod(self.edges[2:] - self.edges[:2]))


@dataclass(frozen=True, slots=True)
class Chain:
    """Sections of one object, in the order of slices; at least one."""

    sections: tuple[Section, ...]

    @property
    def score(self) -> float:
        """Mean score from the first to the last section.

        A slice between them without a section counts as 0.
        """
        first, last = self.sections[0].place, self.sections[-1].place
        return sum(s.score for s in self.sections) / (last - first + 1)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The edges around all sections, in mm."""
        every = np.stack([s.edges for s in self.sections])
        return np.concatenate([every[:, :2].min(axis=0), every[:, 2:].max(axis=0)])

    @property
    def best(self) -> Section:
        """Where a model is best asked: the largest section, by score."""
        return max(self.sections, key=lambda s: (s.area * s.score, -s.place))


def linked(slices: Sequence[Boxes], spacing: tuple[float, float]) -> list[Chain]:
    """Chains of boxes, the best first.

    Slice by slice, boxes are given to the chains that they overlap most, together the best way (Kuhn, 1955; by
    `scipy.optimize.linear_sum_assignment`); what is left begins chains of its own.

    Parameters
    ----------
    slices : sequence of Boxes
        Of one name, on the slices that were looked at, in their order.
    spacing : (float, float)
        Of rows and columns, mm.
    """
    done: list[list[Section]] = []
    open_chains: list[list[Section]] = []
    for place, boxes in enumerate(slices):
        scaled = boxes.edges * np.tile(spacing, 2)
        new = [Section(place, edges, float(score)) for edges, score in zip(scaled, boxes.scores, strict=True)]
        done += [chain for chain in open_chains if place - chain[-1].place > LARGEST_STEP]
        open_chains = [chain for chain in open_chains if place - chain[-1].place <= LARGEST_STEP]
        open_chains += [[section] for section in _given(open_chains, new)]
    least = min(LEAST_SECTIONS, len(slices))
    chains = [Chain(tuple(chain)) for chain in (*done, *open_chains) if len(chain) >= least]
    return sorted(chains, key=lambda chain: -chain.score)


def _given(chains: list[list[Section]], new: list[Section]) -> list[Section]:
    """Give sections to the chains they continue; those that continue none."""
    if not chains or not new:
        return new
    shares = overlaps(np.stack([chain[-1].edges for chain in chains]), np.stack([section.edges for section in new]))
    taken = set()
    for row, col in zip(*linear_sum_assignment(-np.where(shares >= LEAST_OVERLAP, shares, 0)), strict=True):
        if shares[row, col] >= LEAST_OVERLAP:
            chains[row].append(new[col])
            taken.add(col)
    return [section for number, section in enumerate(new) if number not in taken]
