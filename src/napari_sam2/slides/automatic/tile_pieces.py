"""What one tile holds: points asked about, masks kept, their trusted parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.engine.engine import Engine
from napari_sam2.engine.view import whole_view
from napari_sam2.models.base import DecodeRequest, ManyMaskModel
from napari_sam2.slides.automatic.merge import Piece, same_object
from napari_sam2.slides.automatic.standing_out import standing_out
from napari_sam2.slides.automatic.tiles import reaches_border

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam2.engine.view import View
    from napari_sam2.models.base import Decoded
    from napari_sam2.slides.answers.crop_engine import CropEngine
    from napari_sam2.slides.automatic.standing_out import StandingOut
    from napari_sam2.slides.automatic.tiles import Plan, Tile

__all__ = ["LARGEST", "SMALLEST", "find_pieces"]


MINIMUM_SCORE: Final = 0.6
"""Predicted IoU below which a mask is not worth showing."""

STABILITY_LOGIT: Final = 1.0

MINIMUM_STABILITY: Final = 0.7
"""A mask must hardly change when its threshold moves by one logit: the test of Kirillov et al., "Segment
Anything", ICCV 2023, for what is an object, and what is texture."""

MINIMUM_AGREEMENT: Final = 0.5
"""IoU of what stands out with the model's answer to a box around it: an object for both."""

OWNED_BEYOND: Final = 0.25
"""Diameters beyond a core up to which a middle belongs to it: two tiles see it at slightly different places, and what
both of them take is one object when tiles are joined."""

SMALLEST: Final = 0.25

LARGEST: Final = 6.0
"""Diameters (of a disc of equal area) over the expected one, outside which a mask is dirt, or background."""

COVERING: Final = 2.0
"""Diameters over the expected one up to which points inside a mask are not asked about any more."""

BATCH: Final = 8
"""Points decoded together; those that the masks found so far hold are not asked about."""

VIEW_MARGIN: Final = 0.02

FEATURES: Final = 64 << 20
"""Bytes of features kept within a tile: views around points are hardly ever met again."""


def find_pieces(engine: CropEngine, plan: Plan, tile: Tile) -> Iterator[list[Piece]]:
    """Pieces of objects that a tile holds.

    Nothing while points are asked about, one batch after the other, and all of it at the end.
    """
    points = plan.points(tile)
    yield []
    if len(points) == 0:
        return
    on_crop = engine.engine_on(tile.crop(plan.scale), FEATURES)
    if not isinstance(on_crop, Engine):
        raise TypeError("a tile is answered where the model is; see plan_of")
    origin = np.array(tile.seen[:2])
    largest, covering = (math.pi / 4 * (share * plan.object_pixels) ** 2 for share in (LARGEST, COVERING))
    masks: list[tuple[SliceMask, float]] = []
    covered = np.zeros(on_crop.plane.shape, dtype=bool)
    pieces: list[Piece] = []
    for seed in standing_out(engine.slide, plan, tile) if plan.standing else ():
        place = seed.middle + origin
        if seed.is_whole and plan.holds(*place) and _is_in_core(place, tile, OWNED_BEYOND * plan.object_pixels):
            pieces += _boxed(on_crop, seed, tile)
            yield []
    # What a zooming model finds at points of a grid beside that is mostly texture.
    waiting = [] if plan.standing else [*(points - origin)]
    while waiting:
        batch: list[NDArray[np.float64]] = []
        while waiting and len(batch) < BATCH:
            point = waiting.pop(0)
            if not covered[int(point[0]), int(point[1])]:
                batch.append(point)
        for point, answers in zip(batch, _ask(on_crop, batch, plan.object_pixels), strict=True):
            if covered[int(point[0]), int(point[1])]:
                continue
            for mask, score in answers:
                if score >= MINIMUM_SCORE and 0 < mask.n_voxels <= largest:
                    masks.append((mask, score))
                    # A mask of several objects hides none of them.
                    if mask.n_voxels <= covering:
                        covered |= mask.full(on_crop.plane.shape)
        yield []
    asked = [_piece(mask, score, tile, plan) for mask, score in _without_doubles(masks, on_crop.plane.shape)]
    yield pieces + [piece for piece in asked if piece is not None]


def _boxed(engine: Engine, seed: StandingOut, tile: Tile) -> list[Piece]:
    """The model's outline of what stands out; nothing when the two do not agree."""
    prompts = SlicePrompts(np.zeros((0, 2)), np.zeros(0, dtype=bool), box=seed.box)
    anchor = engine.predict(0, prompts)
    mask = anchor.mask.full(engine.plane.shape)
    both = int((mask & seed.mask).sum())
    score = anchor.scores.predicted_iou
    if score < MINIMUM_SCORE or both < MINIMUM_AGREEMENT * (int(mask.sum()) + int(seed.mask.sum()) - both):
        return []
    placed = SliceMask(anchor.mask.row + tile.seen[0], anchor.mask.col + tile.seen[1], anchor.mask.crop)
    return [Piece(placed, score, is_cut=False)]


def _is_in_core(place: NDArray[np.float64], tile: Tile, margin: float) -> bool:
    row0, col0, row1, col1 = tile.core
    return bool(row0 - margin <= place[0] < row1 + margin and col0 - margin <= place[1] < col1 + margin)


def _ask(
    engine: Engine, points: list[NDArray[np.float64]], object_pixels: float
) -> list[list[tuple[SliceMask, float]]]:
    """Masks and scores per point (row, column) of the crop.

    All three of a model that has three, as in SAM's own generator; else one.
    """
    if not points:
        return []
    half = object_pixels / 2
    prompts = [SlicePrompts(point[None], np.ones(1, dtype=bool)) for point in points]
    views = [_view(engine, point, half) for point in points]
    with torch.inference_mode():
        requests = [
            DecodeRequest(features, view.prompts(prompt, engine.model.device))
            for features, view, prompt in zip(engine.features.get([(0, v) for v in views]), views, prompts, strict=True)
        ]
        if isinstance(engine.model, ManyMaskModel):
            decoded = engine.model.decode_all(requests)
        else:
            decoded = [[answer] for answer in engine.model.decode(requests)]
    return [
        [_in_full(engine, prompt, view, answer) for answer in answers]
        for prompt, view, answers in zip(prompts, views, decoded, strict=True)
    ]


def _view(engine: Engine, point: NDArray[np.float64], half: float) -> View:
    if not engine.model.view_policy.zoom:
        return whole_view(engine.plane, engine.model.input_size)
    around = (point[0] - half, point[1] - half, point[0] + half, point[1] + half)
    return engine.view_around(around, engine.model.view_policy.factor)


def _in_full(engine: Engine, prompts: SlicePrompts, view: View, decoded: Decoded) -> tuple[SliceMask, float]:
    """The mask of an answer; when it fills the view of a model that zooms, that of a larger view."""
    mask = engine.mask_of(decoded, view)
    bounds = mask.bounds
    if bounds is None or not engine.model.view_policy.zoom or view.contains(bounds, VIEW_MARGIN):
        return mask, _worth(decoded)
    anchor = engine.predict(0, prompts, previous=mask)
    return anchor.mask, _worth(anchor.decoded)


def _worth(decoded: Decoded) -> float:
    """The predicted IoU of a stable mask; 0 for one that hangs on its threshold."""
    certain = int((decoded.logits > STABILITY_LOGIT).sum())
    possible = int((decoded.logits > -STABILITY_LOGIT).sum())
    return decoded.predicted_iou if certain >= MINIMUM_STABILITY * max(possible, 1) else 0.0


def _without_doubles(
    scored_masks: list[tuple[SliceMask, float]], shape: tuple[int, int]
) -> list[tuple[SliceMask, float]]:
    """The best masks, none of which is one that was taken before."""
    kept: list[tuple[SliceMask, float]] = []
    for mask, score in sorted(scored_masks, key=lambda entry: -entry[1]):
        if not any(same_object(mask, other, (0, 0, *shape)) for other, _ in kept):
            kept.append((mask, score))
    return kept


def _piece(mask: SliceMask, score: float, tile: Tile, plan: Plan) -> Piece | None:
    """What is taken of a mask on a tile: its trusted part."""
    row0, col0, row1, col1 = tile.trusted
    top, left = row0 - tile.seen[0], col0 - tile.seen[1]
    full = mask.full((tile.seen[2] - tile.seen[0], tile.seen[3] - tile.seen[1]))
    trusted = full[top : top + row1 - row0, left : left + col1 - col0]
    if not trusted.any():
        return None
    part = SliceMask.of(trusted)
    placed = SliceMask(part.row + row0, part.col + col0, part.crop)
    return Piece(placed, score, reaches_border(placed, tile.trusted, plan.shape))
