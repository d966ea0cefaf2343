"""The slices that a run may write.

As a person has set them; one range for each slice axis.
"""

from __future__ import annotations

from psygnal import Signal

__all__ = ["SliceRange"]


class SliceRange:
    """First and last slice by slice axis.

    All slices until something is set.
    """

    changed = Signal()
    """Another range is set, or none."""

    def __init__(self) -> None:
        self._ends: dict[int, tuple[int, int]] = {}

    def ends(self, axis: int) -> tuple[int, int] | None:
        """First and last slice across `axis`, both inside.

        None when all slices may be written.
        """
        return self._ends.get(axis)

    def slices(self, axis: int) -> range | None:
        """The same, as runs take it."""
        ends = self._ends.get(axis)
        return None if ends is None else range(ends[0], ends[1] + 1)

    def set(self, axis: int, first: int, last: int, n_slices: int) -> None:
        """Let runs write slices `first` to `last` of `n_slices` only.

        The whole volume is no range.
        """
        first, last = max(0, first), min(n_slices - 1, last)
        if first > last:
            first, last = last, first
        if (first, last) == (0, n_slices - 1):
            self.clear(axis)
        elif self._ends.get(axis) != (first, last):
            self._ends[axis] = (first, last)
            self.changed.emit()

    def begin_at(self, axis: int, index: int, n_slices: int) -> None:
        """Begin the range at a slice.

        An end that lies before it is given up.
        """
        last = self._ends.get(axis, (0, n_slices - 1))[1]
        self.set(axis, index, last if last >= index else n_slices - 1, n_slices)

    def end_at(self, axis: int, index: int, n_slices: int) -> None:
        """End the range at a slice.

        A beginning that lies after it is given up.
        """
        first = self._ends.get(axis, (0, n_slices - 1))[0]
        self.set(axis, first if first <= index else 0, index, n_slices)

    def clear(self, axis: int) -> None:
        """Let runs write every slice across `axis` again."""
        if self._ends.pop(axis, None) is not None:
            self.changed.emit()

    def forget(self) -> None:
        """Begin anew, for another image."""
        self._ends.clear()
        self.changed.emit()
