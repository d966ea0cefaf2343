"""The plan of an automatic run.

Tiles that cover a region, and the points that are asked about.

Everything is counted in pixels of one scale. A tile is a core, which owns its points, and a halo around it,
in which objects that begin in the core go on. What is taken from a tile is its core and half the halo: the
outer half is where the model has too little to see. So two neighbours share a strip one halo wide, and
their masks are compared there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.slides.answers.crop import Crop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.models.base import DescribedModel
    from napari_sam2.slides.image.tissue import TissueMask
    from napari_sam2.slides.nuclei.signal import Look

__all__ = ["Plan", "Tile", "checked_region", "make_plan", "reaches_border"]

OBJECT_PIXELS: Final = 48
"""An object of the expected size measures this to twice this many pixels on a tile."""

OBJECTS_ACROSS: Final = 16
"""A model that looks at the whole tile sees up to so many of the smallest of them side by side."""

ZOOM_CORE: Final = 512
"""Core of a tile for models that look at one object at a time."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile; rows and columns in pixels of the plan's scale.

    Attributes
    ----------
    row, col : int
        Its place in the grid of tiles.
    core, trusted, seen : tuple of int
        Edges row0, column0, row1, column1: what it owns, what is taken from it, what the model sees.
    """

    row: int
    col: int
    core: tuple[int, int, int, int]
    trusted: tuple[int, int, int, int]
    seen: tuple[int, int, int, int]

    def crop(self, scale: int) -> Crop:
        """The piece of the slide that the model sees."""
        row0, col0, row1, col1 = self.seen
        return Crop(row0 * scale, col0 * scale, row1 - row0, col1 - col0, scale)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What an automatic run does.

    Attributes
    ----------
    shape : tuple of int
        (rows, columns) of the slide in pixels of `scale`.
    scale : int
        Level-0 pixels along one pixel.
    object_pixels : float
        Expected diameter of an object, in pixels.
    core, halo : int
        Side of a core and width of a halo, in pixels.
    region : shapely geometry
        In level-0 pixel corners: where points lie.
    tissue : TissueMask, optional
        Points lie on tissue only.
    look : Look, optional
        How nuclei look, when these are looked for, and not objects of a model.
    standing : tuple of Look
        How things look that a model which zooms is asked about by boxes.
    """

    shape: tuple[int, int]
    scale: int
    object_pixels: float
    core: int
    halo: int
    region: Any
    tissue: TissueMask | None = None
    look: Look | None = None
    standing: tuple[Look, ...] = ()

    @property
    def spacing(self) -> int:
        """Pixels between neighbouring points.

        Two per diameter, so that no object of that size is missed.
        """
        return max(2, int(self.object_pixels / 2))

    def tiles(self) -> Iterator[Tile]:
        """Tiles whose core meets the region, row by row."""
        import shapely

        col0, row0, col1, row1 = (edge / self.scale for edge in self.region.bounds)
        shapely.prepare(self.region)
        for r in range(int(max(row0, 0) // self.core), math.ceil(min(row1, self.shape[0]) / self.core)):
            for c in range(int(max(col0, 0) // self.core), math.ceil(min(col1, self.shape[1]) / self.core)):
                tile = self._tile(r, c)
                top, left, bottom, right = (edge * self.scale for edge in tile.core)
                if self.region.intersects(shapely.box(left, top, right, bottom)):
                    yield tile

    def points(self, tile: Tile) -> NDArray[np.float64]:
        """Pixel centres (N, 2) that are asked about in a core.

        In the slide's pixels of `scale`.
        """
        row0, col0, row1, col1 = tile.core
        rows, cols = (_multiples(low, high, self.spacing) for low, high in ((row0, row1), (col0, col1)))
        grid = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
        return np.asarray(grid[self._are_held(grid)], dtype=np.float64)

    def holds(self, row: float, col: float) -> bool:
        """Whether a pixel of `scale` is looked at.

        In the region, and on tissue where that counts.
        """
        return bool(self._are_held(np.array([[row, col]]))[0])

    def _are_held(self, pixels: NDArray[np.number]) -> NDArray[np.bool_]:
        import shapely

        places = (pixels.astype(np.float64) + 0.5) * float(self.scale)
        held = shapely.contains_xy(self.region, places[:, 1], places[:, 0])
        if self.tissue is not None:
            held &= self.tissue.at(places[:, 0], places[:, 1])
        return np.asarray(held, dtype=bool)

    def _tile(self, row: int, col: int) -> Tile:
        core = (row * self.core, col * self.core, (row + 1) * self.core, (col + 1) * self.core)
        return Tile(
            row, col, self._clipped(core, 0), self._clipped(core, self.halo // 2), self._clipped(core, self.halo)
        )

    def _clipped(self, core: tuple[int, int, int, int], margin: int) -> tuple[int, int, int, int]:
        row0, col0, row1, col1 = core
        return (
            max(row0 - margin, 0),
            max(col0 - margin, 0),
            min(row1 + margin, self.shape[0]),
            min(col1 + margin, self.shape[1]),
        )


def make_plan(
    shape: tuple[int, int],
    model: DescribedModel,
    region: Any,
    object_size: float,
    tissue: TissueMask | None = None,
) -> Plan:
    """Choose scale and tiles for objects of a size.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of level 0.
    model : DescribedModel
        Its view decides how large a tile may be.
    region : shapely geometry
        In level-0 pixel corners.
    object_size : float
        Expected diameter in level-0 pixels.
    tissue : TissueMask, optional
        Where there is tissue.

    Raises
    ------
    UserInputError
        If the region does not meet the slide, or the size is not one.
    """
    inside = checked_region(shape, region, object_size)
    zoom = model.view_policy.zoom
    object_pixels = OBJECT_PIXELS if zoom else min(OBJECT_PIXELS, model.input_size / OBJECTS_ACROSS)
    scale = 1 << max(0, int(math.log2(object_size / object_pixels)))
    pixels = object_size / scale
    # An object may reach half a halo beyond the core before its neighbour is sure to ask about it.
    halo = 2 * math.ceil(pixels)
    core = ZOOM_CORE if zoom else max(model.input_size - 2 * halo, halo)
    scaled = math.ceil(shape[0] / scale), math.ceil(shape[1] / scale)
    return Plan(scaled, scale, pixels, core, halo, inside, tissue)


def checked_region(shape: tuple[int, int], region: Any, object_size: float) -> Any:
    """The part of a region that lies on a slide of `shape`.

    Raises
    ------
    UserInputError
        If there is none, or the size of objects is not one.
    """
    import shapely

    if not (math.isfinite(object_size) and object_size >= 4):
        raise UserInputError(f"The object size must be 4 pixels or more of the full slide; got {object_size:g}.")
    inside = region.intersection(shapely.box(0, 0, shape[1], shape[0]))
    if inside.is_empty or inside.area == 0:
        raise UserInputError("The region does not lie on the slide; coordinates are level-0 pixels, x before y.")
    return inside


def reaches_border(mask: SliceMask, edges: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
    """Whether a piece cuts a mask off.

    It reaches one of the edges row0, column0, row1, column1 where the slide goes on.
    """
    row0, col0, row1, col1 = edges
    height, width = mask.shape
    return (
        mask.row <= row0 > 0
        or mask.col <= col0 > 0
        or mask.row + height >= row1 < shape[0]
        or mask.col + width >= col1 < shape[1]
    )


def _multiples(low: int, high: int, step: int) -> NDArray[np.int64]:
    """Middles of a global grid of `step` that lie in [low, high)."""
    first = math.ceil((low - step // 2) / step)
    middles = np.arange(first, high // step + 1) * step + step // 2
    return middles[(middles >= low) & (middles < high)]
