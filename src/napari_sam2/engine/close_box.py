"""A box on a slice, seen closer than by a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch

from napari_sam2.engine.view import zoom_view
from napari_sam2.models.base import CloseBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam2.core.volume import SlicePlane
    from napari_sam2.engine.view import View

__all__ = ["close_box", "close_square"]

LEAST_SIDE: Final = 12.0
"""Smallest side of the close view, in voxels of the finer in-plane spacing."""

LUMA: Final = (0.299, 0.587, 0.114)
"""Rec. 601 weights of red, green and blue."""


def close_box(
    slices: Sequence[NDArray[Any]], plane: SlicePlane, box: NDArray[np.float64], view: View, factor: float, size: int
) -> CloseBox:
    """A boxed slice and its neighbours, seen closer.

    In a square that the box nearly fills.

    Parameters
    ----------
    slices : sequence of three (rows, columns[, 3]) float array
        The slice before, the boxed one and the one after, in [0, 1].
    plane : SlicePlane
        Their layout.
    box : (4,) array
        Outer edges row0, column0, row1, column1.
    view : View
        The model's own view.
    factor, size : float, int
        Side of the square over the longer side of the box, and in pixels.
    """
    close = close_square(plane, box, factor, size)
    corners = close.to_view(box.reshape(2, 2)).reshape(4)
    return CloseBox(
        torch.stack([_grey(close.image(pixels)) for pixels in slices]),
        torch.tensor(corners, dtype=torch.float32),
        close.shift_to(view),
        math.sqrt(close.rows * close.cols) / size,
    )


def close_square(plane: SlicePlane, box: NDArray[np.float64], factor: float, size: int) -> View:
    """The square itself; arguments as for `close_box`."""
    return zoom_view(plane, [float(edge) for edge in box], factor, LEAST_SIDE, size)


def _grey(planes: torch.Tensor) -> torch.Tensor:
    return planes[0] if len(planes) == 1 else (planes * torch.tensor(LUMA)[:, None, None]).sum(0)
