"""A view: the square of a slice that a model looks at.

And the way there and back.

A slice keeps its proportions: the square is a square in millimetres, so a voxel is never squeezed, and
what lies outside the slice is black. Coordinates: (row, column) in the slice with integers at voxel
centres; (x, y) in the view with integers at pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from napari_sam2.models.base import ViewPrompts, ViewShift

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.volume import SlicePlane

__all__ = ["OUTSIDE_LOGIT", "View", "whole_view", "zoom_view"]

OUTSIDE_LOGIT: Final = -20.0
"""Logit of what the model did not look at: far outside, yet finite."""


@dataclass(frozen=True, slots=True)
class View:
    """A square cut from a slice.

    Attributes
    ----------
    row, col : float
        Top left *edge* of the square in slice coordinates; the whole slice begins at -0.5.
    rows, cols : float
        Extent in voxels down and to the right; equal in millimetres.
    size : int
        Side of the view in pixels.
    """

    row: float
    col: float
    rows: float
    cols: float
    size: int

    def image(self, pixels: NDArray[Any]) -> Tensor:
        """Cut the view from a slice.

        Parameters
        ----------
        pixels : (rows, columns) or (rows, columns, C) float array
            The slice, in [0, 1].

        Returns
        -------
        Tensor, (C, size, size)
            float32; bilinear when it enlarges, area-weighted (triangle filter) when it reduces.
        """
        planes = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
        planes = planes.movedim(-1, 0) if planes.ndim == 3 else planes[None]
        down = _resampler(planes.shape[1], self.row, self.rows, self.size)
        across = _resampler(planes.shape[2], self.col, self.cols, self.size)
        return down @ planes @ across.T

    def to_slice(self, logits: Tensor, shape: tuple[int, int]) -> Tensor:
        """Bring mask logits (h, w) back to the slice.

        (rows, columns); bilinear.

        Voxels outside the view get `OUTSIDE_LOGIT`.
        """
        height, width = logits.shape
        down = _back_resampler(shape[0], self.row, self.rows, height).to(logits.device)
        across = _back_resampler(shape[1], self.col, self.cols, width).to(logits.device)
        inside = down.sum(1)[:, None] * across.sum(1)[None]
        return down @ logits.float() @ across.T + (1 - inside) * OUTSIDE_LOGIT

    def to_view(self, plane_points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the slice in the view.

        (x, y) of (row, column) points (..., 2).
        """
        points = np.asarray(plane_points, dtype=np.float64)
        y = (points[..., 0] - self.row) / self.rows * self.size - 0.5
        x = (points[..., 1] - self.col) / self.cols * self.size - 0.5
        return np.stack([x, y], axis=-1)

    def prompts(self, slice_prompts: SlicePrompts, device: torch.device) -> ViewPrompts:
        """The prompts of a slice, in the coordinates of this view."""
        box = None
        if slice_prompts.box is not None:
            corners = self.to_view(slice_prompts.box.reshape(2, 2)).reshape(4)
            box = torch.tensor(corners, dtype=torch.float32, device=device)
        mask = None if slice_prompts.mask is None else self.image(slice_prompts.mask)[0].to(device)
        return ViewPrompts(
            points=torch.tensor(self.to_view(slice_prompts.points), dtype=torch.float32, device=device),
            positive=torch.tensor(slice_prompts.positive, dtype=torch.bool, device=device),
            box=box,
            mask=mask,
        )

    def shift_to(self, other: View) -> ViewShift:
        """Where this view's pixels lie in another view.

        `other` is of another slice of the same plane.
        """
        scale = self.cols / self.size / (other.cols / other.size)
        dx = (self.col - other.col) / other.cols * other.size + (scale - 1) / 2
        dy = (self.row - other.row) / other.rows * other.size + (scale - 1) / 2
        return ViewShift(scale, dx, dy)

    def contains(self, bounds: Sequence[float], margin: float = 0.0) -> bool:
        """Whether edges lie inside, away from the border.

        (row0, column0, row1, column1), by `margin` x the side.
        """
        row0, col0, row1, col1 = bounds
        return (
            row0 >= self.row + margin * self.rows
            and col0 >= self.col + margin * self.cols
            and row1 <= self.row + (1 - margin) * self.rows
            and col1 <= self.col + (1 - margin) * self.cols
        )


def whole_view(plane: SlicePlane, size: int) -> View:
    """The smallest square that holds the whole slice, centred on it."""
    height, width = (n * mm for n, mm in zip(plane.shape, plane.spacing, strict=True))
    return _square(plane, (plane.shape[0] - 1) / 2, (plane.shape[1] - 1) / 2, max(height, width), size)


def zoom_view(plane: SlicePlane, bounds: Sequence[float], factor: float, min_side: float, size: int) -> View:
    """A square around an object.

    Parameters
    ----------
    plane : SlicePlane
        The slice's layout.
    bounds : sequence of float
        Edges row0, column0, row1, column1 of the object.
    factor : float
        Side of the square over the longer side of the bounds.
    min_side : float
        Smallest side, in voxels of the finer in-plane spacing.
    size : int
        Side of the view in pixels.
    """
    row0, col0, row1, col1 = bounds
    longer = max((row1 - row0) * plane.spacing[0], (col1 - col0) * plane.spacing[1])
    whole = max(n * mm for n, mm in zip(plane.shape, plane.spacing, strict=True))
    # Beyond the whole slice there is nothing to see; an object that fills it gets the slice itself.
    side = min(max(longer * factor, min_side * min(plane.spacing)), max(whole, longer))
    return _square(plane, (row0 + row1) / 2, (col0 + col1) / 2, side, size)


def _square(plane: SlicePlane, row: float, col: float, side_mm: float, size: int) -> View:
    rows, cols = side_mm / plane.spacing[0], side_mm / plane.spacing[1]
    return View(row=row - rows / 2, col=col - cols / 2, rows=rows, cols=cols, size=size)


@lru_cache(maxsize=64)
def _resampler(n_in: int, start: float, extent: float, n_out: int) -> Tensor:
    """Weights (n_out, n_in) that read `extent` voxels from edge `start` as `n_out` pixels."""
    step = extent / n_out
    centres = start + (np.arange(n_out) + 0.5) * step
    reach = max(1.0, step)
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(n_in)[None, :] - centres[:, None]) / reach)
    return _normalised(weights, (centres >= -0.5) & (centres <= n_in - 0.5))


@lru_cache(maxsize=64)
def _back_resampler(n_out: int, start: float, extent: float, n_in: int) -> Tensor:
    """Weights (n_out, n_in) that read `n_in` pixels over `extent` from edge `start` at voxel centres."""
    position = (np.arange(n_out) - start) / extent * n_in - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(n_in)[None, :] - position[:, None]))
    return _normalised(weights, (position >= -0.5) & (position <= n_in - 0.5))


def _normalised(weights: NDArray[np.float64], inside: NDArray[np.bool_]) -> Tensor:
    # Half a pixel beyond the outermost centre still belongs to it: its weight is made up to one.
    total = weights.sum(axis=1, keepdims=True)
    matrix = np.where(inside[:, None] & (total > 0), weights / np.maximum(total, 1e-12), 0.0)
    return torch.from_numpy(matrix.astype(np.float32))
