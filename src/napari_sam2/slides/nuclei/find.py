"""Nuclei of one tile, and the plan of a run."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from napari_sam2.core.slice_masks import SliceMask
from napari_sam2.slides.automatic.merge import Piece
from napari_sam2.slides.automatic.tiles import Plan, checked_region, reaches_border
from napari_sam2.slides.nuclei.choice import choose
from napari_sam2.slides.nuclei.regions import candidates_of
from napari_sam2.slides.nuclei.signal import Look, look_of
from napari_sam2.slides.nuclei.worth import worth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam2.slides.automatic.tiles import Tile
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.image.tissue import TissueMask

__all__ = ["find_nuclei", "nuclei_plan"]

NUCLEUS_PIXELS: Final = 20
"""A nucleus of the expected size measures this to twice this many pixels on a tile."""

CORE: Final = 768

HALO: Final = 3
"""Diameters that a tile sees around its core: half of it for nuclei that begin in the core, the rest for what lies
around those."""

SAMPLES: Final = 9
"""Tiles, evenly spread over the region, from which the look of the nuclei is learned."""

MINIMUM_WORTH: Final = 0.4
"""Expected IoU below which a candidate is not shown: F1 hardly changes from 0.35 to 0.5, and more is shown below."""


def nuclei_plan(slide: Slide, region: Any, diameter: float, tissue: TissueMask | None = None) -> Plan:
    """Choose scale and tiles for nuclei, and learn how they look.

    Parameters
    ----------
    slide : Slide
        Some of its tiles are read.
    region : shapely geometry
        In level-0 pixel corners.
    diameter : float
        Expected one, in level-0 pixels.
    tissue : TissueMask, optional
        Where there is tissue.

    Raises
    ------
    UserInputError
        If the region does not meet the slide, or the diameter is not a size.
    """
    inside = checked_region(slide.shape, region, diameter)
    scale = 1 << max(0, int(math.log2(diameter / NUCLEUS_PIXELS)))
    pixels = diameter / scale
    shape = math.ceil(slide.shape[0] / scale), math.ceil(slide.shape[1] / scale)
    plan = Plan(shape, scale, pixels, CORE, math.ceil(HALO * pixels), inside, tissue)
    looked_at = [tile for tile in plan.tiles() if len(plan.points(tile))]
    step = max(1, math.ceil(len(looked_at) / SAMPLES))
    samples = [_pixels(slide, plan, tile) for tile in islice(looked_at, 0, None, step)]
    look = look_of(samples, slide.is_fluorescence, pixels) if samples else Look(slide.is_fluorescence, 0, 0.0, 0.0, 0.0)
    return Plan(shape, scale, pixels, CORE, plan.halo, inside, tissue, look)


def find_nuclei(slide: Slide, plan: Plan, tile: Tile) -> Iterator[list[Piece]]:
    """Pieces of nuclei that a tile holds.

    Nothing at first, so that others get a turn, then all of it.
    """
    yield []
    if plan.look is None or plan.look.is_empty or len(plan.points(tile)) == 0:
        return
    candidates = candidates_of(_pixels(slide, plan, tile), plan.look, plan.object_pixels)
    worth = worth_of(candidates)
    yield []
    chosen = [number for number in choose(candidates, worth) if worth[number] >= MINIMUM_WORTH]
    drawn = np.zeros((tile.seen[2] - tile.seen[0], tile.seen[3] - tile.seen[1]), dtype=np.int32)
    for picture in np.unique(candidates.pictures[chosen]):
        here = [number for number in chosen if candidates.pictures[number] == picture]
        drawing = candidates.drawings[picture]
        numbers = np.zeros(drawing.count + 1, dtype=np.int32)
        numbers[candidates.labels[here]] = np.array(here) + 1
        drawn.ravel()[drawing.pixels] = np.maximum(drawn.ravel()[drawing.pixels], numbers[drawing.numbers])
    pieces = [
        _piece(drawn, number, place, float(worth[number - 1]), tile, plan)
        for number, place in enumerate(ndimage.find_objects(drawn), start=1)
        if place is not None
    ]
    yield [piece for piece in pieces if piece is not None]


def _pixels(slide: Slide, plan: Plan, tile: Tile) -> NDArray[np.uint8]:
    crop = tile.crop(plan.scale)
    return slide.read_scaled(crop.row, crop.col, crop.rows, crop.cols, crop.scale)


def _piece(
    drawn: NDArray[np.int32], number: int, place: tuple[slice, slice], worth: float, tile: Tile, plan: Plan
) -> Piece | None:
    """A nucleus on the trusted part of a tile; None where a neighbour sees more of it, or it lies outside."""
    mask = drawn[place] == number
    rows, cols = (ticks.mean() for ticks in np.nonzero(mask))
    row, col = rows + place[0].start + tile.seen[0], cols + place[1].start + tile.seen[1]
    top, left = place[0].start + tile.seen[0], place[1].start + tile.seen[1]
    row0, col0, row1, col1 = tile.trusted
    first_row, first_col = max(row0 - top, 0), max(col0 - left, 0)
    trusted = mask[first_row : max(row1 - top, 0), first_col : max(col1 - left, 0)]
    if not trusted.any() or not plan.holds(row, col):
        return None
    part = SliceMask.of(trusted)
    placed = SliceMask(part.row + top + first_row, part.col + left + first_col, part.crop)
    is_cut = reaches_border(placed, tile.trusted, plan.shape)
    in_core = tile.core[0] <= row < tile.core[2] and tile.core[1] <= col < tile.core[3]
    return Piece(placed, worth, is_cut) if in_core or not is_cut else None
