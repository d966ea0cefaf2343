"""Where an object ends, decided on more than one slice.

A model says for every slice whether the object is there. That fails where a like structure follows the object, such as
the next vertebra: the run goes on in it. What is seen then is a dip: the model's own estimate of its mask falls while
the object ends, and rises again when the run has settled in the neighbour. The object has ended at the bottom.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Dip"]

FALL: Final = 0.15
"""Least fall of the predicted IoU from its highest value on the way; with `RISE`, the best on the development cases
of twelve pairs for runs that were told the object's slices, and level with the best for others."""

RISE: Final = 0.20
"""Least rise from the lowest value after such a fall."""

LOW: Final = 0.5
"""A model that trusts its mask more than this, by its own estimate, has not lost the object."""


class Dip:
    """The predicted IoU along one run, smoothed.

    Away from a prompted slice, over three slices.
    """

    def __init__(self) -> None:
        self._values: list[float] = []
        self._judged = 0
        self._highest = 0.0
        self._lowest = 0.0
        self._bottom: int | None = None

    def is_over(self, predicted_iou: float) -> int | None:
        """Take in the next slice.

        Once a dip has been passed, how many slices lie behind its bottom.

        The bottom itself still belongs to the object.
        """
        self._values.append(predicted_iou)
        # A slice is judged when the one after it is known.
        while self._judged < len(self._values) - 1:
            bottom = self._judge(self._judged)
            self._judged += 1
            if bottom is not None:
                return len(self._values) - 1 - bottom
        return None

    def _judge(self, at: int) -> int | None:
        """The bottom of a dip that slice `at` shows to be over."""
        around = [self._values[min(max(n, 0), len(self._values) - 1)] for n in (at - 1, at, at + 1)]
        value = sum(around) / len(around)
        if at == 0:
            self._highest = value
        if self._bottom is None and (self._highest - value < FALL or value >= LOW):
            self._highest = max(self._highest, value)
            return None
        if self._bottom is None or value < self._lowest:
            self._bottom, self._lowest = at, value
        return self._bottom if value - self._lowest >= RISE else None
