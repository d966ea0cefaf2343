"""The protocol of a detector, and boxes on a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Boxes", "Detector", "View", "overlaps"]

SAME: Final = 0.6
"""Intersection over union from which two boxes of one phrase are one object found twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Boxes of one phrase on a picture, the best first.

    Attributes
    ----------
    edges : (N, 4) float array
        Outer edges ``row0, column0, row1, column1`` in pixels: pixel 3 alone is 3 to 4.
    scores : (N,) float array
        0 to 1, in falling order.
    """

    edges: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def sorted(cls, edges: NDArray[np.float64], scores: NDArray[np.float64], least: float) -> Boxes:
        """Boxes of at least a score, each object once.

        Greedy suppression in the order of scores, see `SAME`; boxes without an area are left out.
        """
        there = (scores >= least) & (edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])
        edges, scores = edges[there], scores[there]
        order = np.argsort(-scores, kind="stable")
        edges, scores = edges[order], scores[order]
        kept: list[int] = []
        same = overlaps(edges, edges) >= SAME
        for number in range(len(scores)):
            if not same[number, kept].any():
                kept.append(number)
        return cls(edges[kept], scores[kept])

    def only(self, kept: NDArray[np.bool_]) -> Boxes:
        """Those that a (N,) mask holds."""
        return Boxes(self.edges[kept], self.scores[kept])


class View(Protocol):
    """A picture that a detector looks at, to be asked for words."""

    def boxes(self, phrases: Sequence[str]) -> list[Boxes]:
        """Boxes of each phrase, all asked together.

        Parameters
        ----------
        phrases : sequence of str
            Words in small letters, without dots.
        """


class Detector(Protocol):
    """Whoever finds words on pictures."""

    @property
    def name(self) -> str:
        """What people are told, such as ``"Grounding DINO grounding-dino-tiny"``."""

    @property
    def sha256(self) -> str:
        """Hash of its weights."""

    def look(self, picture: NDArray[np.uint8]) -> View:
        """Look at a picture (rows, columns, 3)."""


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of all pairs of boxes.

    Parameters
    ----------
    first : (N, 4) float array
    second : (M, 4) float array
        Outer edges ``row0, column0, row1, column1``, in any one unit.

    Returns
    -------
    (N, M) float array
        0 where a pair has no area.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(np.maximum(each[:, 2:] - each[:, :2], 0), axis=-1) for each in (first, second)]
    total = areas[0][:, None] + areas[1][None, :] - shared
    share: NDArray[np.float64] = np.divide(shared, total, out=np.zeros(total.shape), where=total > 0)
    return share
