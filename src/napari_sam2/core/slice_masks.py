"""What the engine gives back for a slice and an object.

One mask with its scores.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SliceMask", "SliceResult", "SliceScores", "iou"]


@dataclass(frozen=True, slots=True)
class SliceScores:
    """How far a mask can be trusted.

    NaN where a score does not apply.

    Attributes
    ----------
    object_score : float
        Logit that the object is present on the slice; below 0 the mask is empty.
    predicted_iou : float
        The model's own estimate of the mask's IoU, 0 to 1.
    neighbour_iou : float
        IoU with the mask of the slice it was propagated from.
    direction_iou : float
        IoU of the masks from both directions, between two prompted slices.
    """

    object_score: float
    predicted_iou: float
    neighbour_iou: float = math.nan
    direction_iou: float = math.nan


@dataclass(frozen=True, slots=True, eq=False, init=False)
class SliceMask:
    """A mask on one slice, cropped to its bounding box.

    It is kept as compressed bits: a session holds the masks before and after each of its last 1,000 actions.

    Parameters
    ----------
    row, col : int
        Where the crop begins in the slice's plane.
    crop : (h, w) bool array
        The mask inside its bounding box; (0, 0) when the mask is empty.

    Attributes
    ----------
    shape : tuple of int
        (h, w) of the crop.
    n_voxels : int
        Voxels inside.
    """

    row: int
    col: int
    shape: tuple[int, int]
    n_voxels: int
    _bits: bytes

    def __init__(self, row: int, col: int, crop: NDArray[np.bool_]) -> None:
        height, width = crop.shape
        bits = zlib.compress(np.packbits(crop).tobytes(), 1)
        values = (row, col, (height, width), int(np.count_nonzero(crop)), bits)
        for name, value in zip(("row", "col", "shape", "n_voxels", "_bits"), values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def crop(self) -> NDArray[np.bool_]:
        """The mask inside its bounding box, (h, w).

        Made anew each time, and not to be written to.
        """
        height, width = self.shape
        packed = np.frombuffer(zlib.decompress(self._bits), np.uint8)
        crop = np.unpackbits(packed, count=height * width).view(bool).reshape(height, width)
        crop.setflags(write=False)
        return crop

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> SliceMask:
        """Crop a full (rows, columns) mask."""
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size == 0:
            return cls(0, 0, np.zeros((0, 0), dtype=bool))
        cols = np.flatnonzero(mask.any(axis=0))
        return cls(int(rows[0]), int(cols[0]), mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])

    def full(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask on the whole slice of `shape` (rows, columns)."""
        mask = np.zeros(shape, dtype=bool)
        height, width = self.shape
        mask[self.row : self.row + height, self.col : self.col + width] = self.crop
        return mask

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """Edges row0, column0, row1, column1, or None when the mask is empty."""
        height, width = self.shape
        if height == 0:
            return None
        return self.row - 0.5, self.col - 0.5, self.row + height - 0.5, self.col + width - 0.5

    def same_as(self, other: SliceMask) -> bool:
        """Whether both hold the same voxels."""
        return (self.row, self.col, self.shape, self._bits) == (other.row, other.col, other.shape, other._bits)


@dataclass(frozen=True, slots=True, eq=False)
class SliceResult:
    """The engine's answer for one object on one slice.

    Attributes
    ----------
    object_id : int
        The object.
    axis, index : int
        The slice: voxel axis and index along it.
    mask : SliceMask
        In the layout of ``volume.plane(axis)``.
    scores : SliceScores
        Doubt about it.
    prompted : bool
        True when a person prompted this very slice.
    final : bool
        False for the first of two passes between prompted slices; the reconciled mask follows.
    """

    object_id: int
    axis: int
    index: int
    mask: SliceMask
    scores: SliceScores
    prompted: bool
    final: bool = True


def iou(first: SliceMask, second: SliceMask) -> float:
    """Intersection over union of two masks of one plane.

    1 when both are empty.
    """
    total = first.n_voxels + second.n_voxels
    if total == 0:
        return 1.0
    top, left = max(first.row, second.row), max(first.col, second.col)
    bottom = min(first.row + first.shape[0], second.row + second.shape[0])
    right = min(first.col + first.shape[1], second.col + second.shape[1])
    if bottom <= top or right <= left:
        return 0.0
    a = first.crop[top - first.row : bottom - first.row, left - first.col : right - first.col]
    b = second.crop[top - second.row : bottom - second.row, left - second.col : right - second.col]
    both = int((a & b).sum())
    return both / (total - both)
