"""Finding an object from clicks alone.

From coarse to fine, when nothing else is known of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.engine.view import View, whole_view, zoom_view
from napari_sam2.models.base import DecodeRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.engine.engine import Engine
    from napari_sam2.models.base import Decoded

__all__ = ["click_answers", "click_views", "find_from_clicks"]

CLICK_ZOOM_STEP: Final = 0.6
"""Each view tried around a bare click is this much smaller than the one before."""

SMALLEST_CLICK_SIDE: Final = 20.0
"""Voxels; a view around a bare click is not smaller, or every object would fill it."""

LARGEST_CLICK_FRACTION: Final = 0.5
"""A mask that covers more of a view around a bare click has leaked, or needs a larger view."""


def find_from_clicks(
    engine: Engine, index: int, prompts: SlicePrompts, views: Sequence[View] = ()
) -> tuple[View, Decoded, SliceMask] | None:
    """The best answer to bare clicks, from coarse to fine.

    Over views of several sizes.

    Nothing is known of the object's size, so the model is asked at several, and its own predicted
    IoU decides among the masks that hold every positive click and do not fill their view. Only `views` are
    tried, or all by default.
    """
    answers = click_answers(engine, index, prompts, views)
    return max(answers, key=lambda answer: answer[1].predicted_iou, default=None)


def click_answers(
    engine: Engine, index: int, prompts: SlicePrompts, views: Sequence[View] = ()
) -> list[tuple[View, Decoded, SliceMask]]:
    """All plausible answers to bare clicks.

    From the largest view to the smallest. Their masks hold a positive click and do not fill their view.
    """
    inside = prompts.points[prompts.positive]
    if len(inside) == 0:
        return []
    views = views or click_views(engine, inside)
    features = engine.features.get([(index, view) for view in views])
    requests = [
        DecodeRequest(f, view.prompts(prompts, engine.model.device), n_slices=engine.plane.n_slices)
        for f, view in zip(features, views, strict=True)
    ]
    plausible = []
    for view, decoded in zip(views, engine.decode(requests), strict=True):
        mask = engine.mask_of(decoded, view)
        filled = mask.n_voxels / (view.rows * view.cols)
        if _holds_any(mask, inside) and filled < LARGEST_CLICK_FRACTION:
            plausible.append((view, decoded, mask))
    return plausible


def click_views(engine: Engine, inside: NDArray[np.float64]) -> list[View]:
    """Views around positive clicks (N, 2), from largest to smallest."""
    plane, size = engine.plane, engine.model.input_size
    spread = [*(inside.min(axis=0) - 0.5), *(inside.max(axis=0) + 0.5)]
    views = [whole_view(plane, size)]
    side = max(n * mm for n, mm in zip(plane.shape, plane.spacing, strict=True)) / min(plane.spacing)
    longest = max(spread[2] - spread[0], spread[3] - spread[1])
    smallest = max(SMALLEST_CLICK_SIDE, 1.5 * longest, engine.model.view_policy.min_side)
    while (side := side * CLICK_ZOOM_STEP) >= smallest:
        views.append(zoom_view(plane, spread, 0.0, side, size))
    return views


def _holds_any(mask: SliceMask, points: NDArray[np.float64]) -> bool:
    at = np.rint(points).astype(int) - (mask.row, mask.col)
    ok = ((at >= 0) & (at < mask.shape)).all(axis=1)
    return bool(mask.crop[tuple(at[ok].T)].any())
