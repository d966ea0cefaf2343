"""What stands out from its surroundings.

As boxes to ask a model about: a box says where an object is and how large; a point on a grid says neither. The
candidates are those of `napari_sam2.slides.nuclei`, of any size near the expected one, once darker and once brighter
than what is around them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.slides.automatic.tiles import reaches_border
from napari_sam2.slides.nuclei.choice import choose
from napari_sam2.slides.nuclei.find import NUCLEUS_PIXELS
from napari_sam2.slides.nuclei.regions import candidates_of
from napari_sam2.slides.nuclei.signal import Look, look_of
from napari_sam2.slides.nuclei.worth import worth_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_sam2.slides.automatic.tiles import Plan, Tile
    from napari_sam2.slides.image.pyramid import Slide

__all__ = ["StandingOut", "looks_on", "standing_out"]

SAMPLES: Final = 9
"""Tiles, evenly spread over the region, from which the look is learned."""

MINIMUM_WORTH: Final = 0.4
"""Expected IoU below which nothing is asked."""

SHARED: Final = 0.5
"""Of two that share more than this part of the smaller one, the better is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class StandingOut:
    """A region of a tile that differs from what is around it.

    Attributes
    ----------
    mask : (rows, columns) bool array
        On the tile, in its pixels.
    box : (4,) float array
        Outer edges row0, column0, row1, column1, as in `SlicePrompts`.
    middle : (2,) float array
        Row and column of its centre of mass.
    is_whole : bool
        Whether all of it is seen: it keeps off the borders of the tile beyond which the slide goes on.
    """

    mask: NDArray[np.bool_]
    box: NDArray[np.float64]
    middle: NDArray[np.float64]
    is_whole: bool


def looks_on(slide: Slide, plan: Plan) -> tuple[Look, ...]:
    """How dark and how bright things look in a region.

    Only the kind that stands out further: around dark things there is a bright rim, and the other way round. None where
    noise is all there is.
    """
    factor = _reduction(plan)
    tiles = [tile for tile in plan.tiles() if len(plan.points(tile))]
    step = max(1, math.ceil(len(tiles) / SAMPLES))
    samples = [_pixels(slide, plan, tile, factor) for tile in islice(tiles, 0, None, step)]
    if not samples:
        return ()
    looks = (look_of(samples, is_dark, plan.object_pixels / factor) for is_dark in (False, True))
    return tuple(look for look in looks if not look.is_empty and look.high >= -look.low)


def standing_out(slide: Slide, plan: Plan, tile: Tile) -> list[StandingOut]:
    """What stands out on a tile, the clearest first.

    None of them holds much of another.
    """
    factor = _reduction(plan)
    pixels = _pixels(slide, plan, tile, factor)
    proposed: list[tuple[float, NDArray[np.bool_]]] = []
    for look in plan.standing:
        candidates = candidates_of(pixels, look, plan.object_pixels / factor)
        worth = worth_of(candidates)
        chosen = [number for number in choose(candidates, worth) if worth[number] >= MINIMUM_WORTH]
        proposed += [(float(worth[number]), candidates.mask(number)) for number in chosen]
    kept = _apart(mask for _, mask in sorted(proposed, key=lambda entry: -entry[0]))
    return [_placed(mask, factor, plan, tile) for mask in kept]


def _apart(masks: Iterable[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """Those that share little with an earlier one."""
    kept: list[NDArray[np.bool_]] = []
    for mask in masks:
        if all((mask & other).sum() <= SHARED * min(mask.sum(), other.sum()) for other in kept):
            kept.append(mask)
    return kept


def _placed(mask: NDArray[np.bool_], factor: int, plan: Plan, tile: Tile) -> StandingOut:
    """A mask of the reduced tile on the full one."""
    shape = tile.seen[2] - tile.seen[0], tile.seen[3] - tile.seen[1]
    full = np.zeros(shape, dtype=bool)
    large = mask.repeat(factor, axis=0).repeat(factor, axis=1)[: shape[0], : shape[1]]
    full[: large.shape[0], : large.shape[1]] = large
    found = SliceMask.of(full)
    placed = SliceMask(found.row + tile.seen[0], found.col + tile.seen[1], found.crop)
    height, width = found.crop.shape
    return StandingOut(
        full,
        np.array([found.row, found.col, found.row + height, found.col + width]) - 0.5,
        np.array([places.mean() for places in np.nonzero(full)]),
        not reaches_border(placed, tile.seen, plan.shape),
    )


def _reduction(plan: Plan) -> int:
    """Pixels of the plan along one of the reduced tile."""
    return 1 << max(0, int(math.log2(plan.object_pixels / NUCLEUS_PIXELS)))


def _pixels(slide: Slide, plan: Plan, tile: Tile, factor: int) -> NDArray[np.uint8]:
    crop = tile.crop(plan.scale)
    rows, cols = (max(1, size // factor) for size in (crop.rows, crop.cols))
    return slide.read_scaled(crop.row, crop.col, rows, cols, crop.scale * factor)
