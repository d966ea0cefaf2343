"""Boxes of one object on several planes.

One box in 3-D, and a vote of the runs that start from them.

Each plane is carried on its own, within the extent of all boxes. Then voxels are voted. A plane's say grows with how
well its run agrees with the answers on the boxed slices of the *other* planes, each of which a person pointed at, and
with how much the model trusts the run; the object's own plane, which was boxed first, has twice the say of another. So
a plane that cannot see the object (along a cord, or across thick slices) is left out without a threshold for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.measures.metrics import dice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Box

__all__ = ["Extent", "vote"]

SAY_POWER: Final = 4
"""How fast a plane's say falls with its agreement. With `OWN_SAY` and `ENOUGH`, chosen on the development cases: own
plane alone 0.708, majority of three 0.689, in this way 0.751, and none 0.01 worse than alone (docs/corrections.md)."""

OWN_SAY: Final = 2.0
"""Say of the object's own plane over that of another one."""

ENOUGH: Final = 0.4
"""Share of the say that makes a voxel the object's: runs lose parts of an object more often than they run over."""

BLUR: Final = 0.7
"""Width (standard deviation) of the smoothing before the vote, in voxels of the finest spacing."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The smallest block of voxels that holds several boxes.

    Attributes
    ----------
    low, high : (i, j, k)
        First and last voxel along each axis; both belong to it.
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]

    @classmethod
    def of(cls, boxes: Iterable[Box]) -> Extent:
        """Around all boxes; there must be one."""
        all_boxes = list(boxes)
        low, high = (np.array([getattr(box, end) for box in all_boxes]) for end in ("low", "high"))
        (a, b, c), (d, e, f) = low.min(axis=0).tolist(), high.max(axis=0).tolist()
        return cls((a, b, c), (d, e, f))

    def along(self, axis: int) -> range:
        """The slices across an axis."""
        return range(self.low[axis], self.high[axis] + 1)

    @property
    def block(self) -> tuple[slice, slice, slice]:
        """As an index into an array."""
        i, j, k = (slice(low, high + 1) for low, high in zip(self.low, self.high, strict=True))
        return i, j, k


def vote(
    runs: Mapping[int, NDArray[np.bool_]],
    boxed: Mapping[int, int],
    trust: Mapping[int, float],
    spacing: Sequence[float],
    extent: Extent,
) -> NDArray[np.bool_]:
    """What the planes hold together, within the extent of the boxes.

    Parameters
    ----------
    runs : mapping of int to (I, J, K) bool array
        By axis, what the run across it gave; the object's own plane first.
    boxed : mapping of int to int
        By axis, the slice that was boxed; the run's mask there is the answer to the box.
    trust : mapping of int to float
        By axis, the mean predicted IoU of the run's masks.
    spacing : sequence of float
        Voxel sizes in mm.
    extent : Extent
        Nothing lies outside.
    """
    says = _says(runs, boxed, trust)
    width = BLUR * min(spacing) / np.asarray(spacing, float)
    block = extent.block
    total = np.zeros([part.stop - part.start for part in block], np.float32)
    for axis, run in runs.items():
        total += says[axis] * ndimage.gaussian_filter(run[block].astype(np.float32), width)
    result = np.zeros(next(iter(runs.values())).shape, bool)
    result[block] = total > ENOUGH
    return result


def _says(
    runs: Mapping[int, NDArray[np.bool_]], boxed: Mapping[int, int], trust: Mapping[int, float]
) -> dict[int, float]:
    """The say of each plane, all of them together 1."""
    says = {}
    own = next(iter(runs))
    for axis, run in runs.items():
        others = [other for other in runs if other != axis]
        overlaps = [dice(np.take(run, boxed[o], o), np.take(runs[o], boxed[o], o)) for o in others]
        agreement = float(np.mean(overlaps)) if overlaps else 1.0
        says[axis] = agreement**SAY_POWER * trust[axis] * (OWN_SAY if axis == own else 1.0)
    total = sum(says.values())
    # Where nothing agrees with anything, the own plane decides.
    return {axis: say / total if total else float(axis == own) for axis, say in says.items()}
