"""Dashed lines around what is only proposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.finding.candidate import Candidate

__all__ = ["dashes_of"]

DASHES: Final = 8
"""Dashes of one side of a box, each as long as the gap beside it."""

DASH: Final = 3
"""Length of a dash along an outline, and of the gap beside it, in voxels."""

Dashes = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def dashes_of(candidate: Candidate, axis: int) -> Dashes:
    """Starts and ends of the dashes on each slice across an axis.

    Both (N, 3), in voxels. Along the outline of its mask; around its box where it has none.
    """
    return _box_dashes(candidate, axis) if candidate.mask is None else _outline_dashes(candidate, candidate.mask, axis)


def _outline_dashes(candidate: Candidate, mask: NDArray[np.bool_], axis: int) -> Dashes:
    rows, cols = (a for a in range(3) if a != axis)
    held = np.pad(mask, 1)
    starts, ends = [], []
    for along, across in ((rows, cols), (cols, rows)):
        # Edges between a voxel and the next one along one axis: they run along the other one.
        edges = np.argwhere(np.diff(held, axis=along)).astype(float)
        edges = edges[(edges.sum(axis=1) - edges[:, axis]) // DASH % 2 == 0]
        edges += np.array(candidate.low) - 1.0
        first, last = edges.copy(), edges
        first[:, along] += 0.5
        last[:, along] += 0.5
        first[:, across] -= 0.5
        last[:, across] += 0.5
        starts.append(first)
        ends.append(last)
    return np.concatenate(starts), np.concatenate(ends)


def _box_dashes(candidate: Candidate, axis: int) -> Dashes:
    low, high = np.array(candidate.low, float) - 0.5, np.array(candidate.high, float) + 0.5
    rows, cols = (a for a in range(3) if a != axis)
    corners = [(low[rows], low[cols]), (low[rows], high[cols]), (high[rows], high[cols]), (high[rows], low[cols])]
    shares = np.arange(DASHES) / DASHES
    starts: list[NDArray[np.float64]] = []
    ends: list[NDArray[np.float64]] = []
    for index in range(candidate.low[axis], candidate.high[axis] + 1):
        for first, second in zip(corners, (*corners[1:], corners[0]), strict=True):
            for share in shares:
                for where, target in ((share, starts), (share + 0.5 / DASHES, ends)):
                    place = np.empty(3)
                    place[axis] = index
                    place[rows], place[cols] = (a + (b - a) * where for a, b in zip(first, second, strict=True))
                    target.append(place)
    return np.array(starts), np.array(ends)
