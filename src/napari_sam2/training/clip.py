"""Clips: a few consecutive slices of one object.

Cut from the pool, with square views of them.

A clip keeps the resolution of its volume. Views are cut from it at the network's input size, and may
follow the object. All places are given in the clip's own frame: (x, y) in pixels of the source, turned by
the clip's rotation, with the origin at the middle of the first slice's object. In that frame every view
is an upright square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from napari_sam2.training.given import GivenPrompts

__all__ = ["Clip", "cut", "shift_between", "to_frame", "to_view"]

#: A view this much coarser than its source is cut from the source averaged over 2 x 2 pixels.
COARSE = 1.7


@dataclass(frozen=True, slots=True)
class Clip:
    """Consecutive slices and the object on them.

    Attributes
    ----------
    image : Tensor, (T, h, w)
        Intensities in [0, 1].
    mask : Tensor, (T, h, w)
        The object, 0 or 1. The first slice is never empty.
    turn : Tensor, (2, 2)
        Rotation or reflection from the clip's frame to the source.
    origin : Tensor, (2,)
        Source pixel (x, y) of the frame's origin.
    extent : float
        Longer side of the object's bounding box on the first slice, in source pixels.
    given : GivenPrompts, optional
        What a person gave on the first slice, in the clip's frame.
    """

    image: Tensor
    mask: Tensor
    turn: Tensor
    origin: Tensor
    extent: float
    given: GivenPrompts | None = None


def cut(clips: list[Clip], slices: list[int], views: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Image and mask of one view per clip.

    Parameters
    ----------
    clips : list of Clip
    slices : list of int
        Which slice of each clip.
    views : Tensor, (B, 3)
        Centre x, centre y and side of each view, in the clip's frame.
    size : int
        Pixels per side of the result.

    Returns
    -------
    image, mask : Tensor, (B, size, size)
        Intensities in [0, 1], and the object as 0 or 1.
    """
    results = []
    for clip, index, view in zip(clips, slices, views, strict=True):
        stack = torch.stack([clip.image[index], clip.mask[index]])[None]
        rows, columns = stack.shape[-2:]
        coarser = float(view[2]) / size
        if coarser > COARSE:
            # Averaged over about as many pixels as one of the view covers, up to half of it.
            reach = max(2, round(coarser / COARSE))
            stack = functional.avg_pool2d(stack, reach, ceil_mode=True, count_include_pad=False)
            rows, columns = reach * stack.shape[-2], reach * stack.shape[-1]
        centre = clip.origin + clip.turn @ view[:2]
        extent = torch.tensor([columns, rows], dtype=torch.float32)
        theta = torch.cat([clip.turn * view[2] / extent[:, None], ((2 * centre + 1) / extent - 1)[:, None]], 1)
        grid = functional.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
        results.append(functional.grid_sample(stack, grid, align_corners=False)[0])
    both = torch.stack(results)
    return both[:, 0].clamp(0, 1), (both[:, 1] > 0.5).float()


def shift_between(current: Tensor, other: Tensor, size: int) -> Tensor:
    """Shift from pixels of the current views to others.

    Scale, dx, dy, (B, 3).
    """
    scale = current[:, 2:] / other[:, 2:]
    offset = size * (current[:, :2] - other[:, :2]) / other[:, 2:]
    return torch.cat([scale, offset + 0.5 * (scale - size * scale + size - 1)], 1)


def to_view(points: Tensor, views: Tensor, size: int) -> Tensor:
    """Places in the clip's frame as pixels of the views.

    Places are (B, N, 2), views (B, 3).
    """
    return ((points - views[:, None, :2]) / views[:, None, 2:] + 0.5) * size - 0.5


def to_frame(pixels: Tensor, views: Tensor, size: int) -> Tensor:
    """Pixels of the views as places in the clip's frame.

    Pixels are (B, N, 2).
    """
    return views[:, None, :2] + ((pixels + 0.5) / size - 0.5) * views[:, None, 2:]
