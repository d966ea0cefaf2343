"""A detector that is not believed at once.

Detectors answer any word with something: "liver" with the whole body, and one mask for every organ that is asked for,
also for one that is absent. So a word must say more than words without a meaning do at the same place, and more than
it says of an empty picture, and its box must not hold all there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.finding.detectors.detector import Boxes, overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.finding.detectors.detector import Detector

__all__ = ["DECOYS", "LARGEST_SHARE", "MARGIN", "Guarded"]

DECOYS: Final = ("zorvelm", "brintack", "quospel")
"""Words without a meaning, asked beside each name."""

MARGIN: Final = 0.1
"""By how much a name's score must exceed those of decoys there, and its own on an empty picture."""

SAME_PLACE: Final = 0.5
"""Intersection over union from which a decoy's box lies where a name's does."""

LARGEST_SHARE: Final = 0.6
"""A box that holds more of what is to be seen is no structure of it."""


class Guarded:
    """A detector without what it would say of anything.

    Parameters
    ----------
    detector : Detector
        Who is asked.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._empty: dict[tuple[tuple[int, ...], str], float] = {}

    def boxes(
        self, picture: NDArray[np.uint8], phrases: Sequence[str], body: NDArray[np.bool_] | None = None
    ) -> list[Boxes]:
        """Boxes of each name that are not those of any word.

        Each name is asked alone with the decoys, so that no answer depends on what else is looked for.

        Parameters
        ----------
        picture : (rows, columns, 3) uint8 array
        phrases : sequence of str
            Names in small letters.
        body : (rows, columns) bool array, optional
            What is to be seen; everything by default. Nothing is found where it is empty.
        """
        if body is not None and not body.any():
            return [_none() for _ in phrases]
        view = self.detector.look(picture)
        seen = np.array([[0, 0, *picture.shape[:2]]], float) if body is None else _edges_of(body)
        return [
            self._believed(*view.boxes((phrase, *DECOYS)), seen=seen, picture=picture, phrase=phrase)
            for phrase in phrases
        ]

    def _believed(
        self, found: Boxes, *decoys: Boxes, seen: NDArray[np.float64], picture: NDArray[np.uint8], phrase: str
    ) -> Boxes:
        if not len(found.scores):
            return found
        floor = np.full(len(found.scores), self._said_of_nothing(picture.shape, phrase))
        for decoy in decoys:
            same = overlaps(found.edges, decoy.edges) >= SAME_PLACE
            floor = np.maximum(floor, np.where(same, decoy.scores[None, :], 0).max(axis=1, initial=0))
        sizes = np.prod(found.edges[:, 2:] - found.edges[:, :2], axis=1)
        whole = float(np.prod(seen[0, 2:] - seen[0, :2]))
        return found.only((found.scores >= floor + MARGIN) & (sizes <= LARGEST_SHARE * whole))

    def _said_of_nothing(self, shape: tuple[int, ...], phrase: str) -> float:
        """The score of a name on a black picture."""
        if (shape, phrase) not in self._empty:
            found = self.detector.look(np.zeros(shape, np.uint8)).boxes((phrase, *DECOYS))[0]
            self._empty[shape, phrase] = float(found.scores.max(initial=0))
        return self._empty[shape, phrase]


def _edges_of(body: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The box of a mask, as one row of outer edges."""
    rows, cols = (np.flatnonzero(body.any(axis=axis)) for axis in (1, 0))
    return np.array([[rows[0], cols[0], rows[-1] + 1, cols[-1] + 1]], float)


def _none() -> Boxes:
    return Boxes(np.zeros((0, 4)), np.zeros(0))
