"""What is known of a whole object after a click: a coarse grid around all of it, and what every cell of it shows.

An error seldom ends where a click can see: a lost lobe, a leak or a border that is too wide all around goes on far
from it. Here the object is looked at as a whole, on a grid whose cells are as large as the object needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from napari_sam2.engine.correction_evidence import Histograms, averaged

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Scene, Window

__all__ = ["CELLS", "CHANNELS", "Click", "ObjectEvidence", "look_at"]

CHANNELS: Final = 20
"""Numbers that describe a cell."""

CELLS: Final = 30
"""Cells along the longest side of an object's surroundings."""

MARGIN: Final = 0.15
"""Surroundings beyond an object's bounds, over its side."""

LEAST_MARGIN: Final = 3
"""Steps of the finest axis beyond its bounds that are looked at in any case."""

AROUND_CLICK: Final = 3.0
"""Depths around the last click that are looked at in any case: a lost part has no bounds yet."""

_LONGEST_WAY: Final = 6.0
_TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a voxel of a volume.

    Attributes
    ----------
    voxel : tuple of int
        (slice, row, column).
    include : bool
        Whether it belongs to the object.
    depth : float
        Millimetres to what agrees with it; see `napari_sam2.engine.correction_evidence.depth_of`.
    """

    voxel: tuple[int, int, int]
    include: bool
    depth: float


@dataclass(frozen=True, slots=True, eq=False)
class ObjectEvidence:
    """The grid around an object.

    Attributes
    ----------
    window : tuple of slice
        Part of the volume that it covers.
    strides : tuple of int
        Voxels of the volume that a cell spans along each axis.
    share : float32 array
        How much of every cell the object fills, 0 to 1.
    channels : (CHANNELS, ...) float32 array
        What every cell shows.
    """

    window: Window
    strides: tuple[int, int, int]
    share: NDArray[np.float32]
    channels: NDArray[np.float32]


def look_at(
    scene: Scene,
    bounds: Window,
    clicks: Sequence[Click],
    trusted: Collection[int] = (),
    cells: int = CELLS,
) -> ObjectEvidence:
    """Look at an object and its surroundings.

    Parameters
    ----------
    scene : Scene
        Object and image.
    bounds : tuple of slice
        Of the object.
    clicks : sequence of Click
        All so far, the last one last; may be empty.
    trusted : collection of int
        Slices that a person boxed, accepted or painted.
    cells : int
        Along the longest side.
    """
    spacing = np.asarray(scene.spacing, dtype=np.float64)
    window, strides = _cover(scene.shape, bounds, clicks[-1] if clicks else None, spacing, cells)
    image = averaged(scene.image(window), strides)
    share = averaged(scene.mask(window).astype(np.float32), strides)
    on_grid = [
        Click(_cell(click.voxel, window, strides), click.include, click.depth)
        for click in clicks
        if all(w.start <= v < w.stop for v, w in zip(click.voxel, window, strict=True))
    ]
    rows = np.array([window[0].start + strides[0] * n for n in range(share.shape[0])])
    known = np.array([any(first <= t < first + strides[0] for t in trusted) for first in rows])
    return ObjectEvidence(window, strides, share, _describe(image, share, spacing * strides, on_grid, known))


def _cover(
    shape: tuple[int, int, int], bounds: Window, last: Click | None, spacing: NDArray[np.float64], cells: int
) -> tuple[Window, tuple[int, int, int]]:
    low = np.array([b.start for b in bounds], dtype=np.float64)
    high = np.array([b.stop for b in bounds], dtype=np.float64)
    margin = np.maximum(MARGIN * (high - low) * spacing, LEAST_MARGIN * spacing.min()) / spacing
    low, high = low - margin, high + margin
    if last is not None:
        at = np.array(last.voxel)
        low = np.minimum(low, at - AROUND_CLICK * last.depth / spacing)
        high = np.maximum(high, at + 1 + AROUND_CLICK * last.depth / spacing)
    low = np.maximum(np.floor(low), 0).astype(int)
    high = np.minimum(np.ceil(high), shape).astype(int)
    cell = float(((high - low) * spacing).max()) / cells
    strides = [int(max(1, round(cell / s))) for s in spacing]
    window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2])))
    return window, (strides[0], strides[1], strides[2])


def _cell(voxel: tuple[int, int, int], window: Window, strides: tuple[int, int, int]) -> tuple[int, int, int]:
    at = [(v - w.start) // s for v, w, s in zip(voxel, window, strides, strict=True)]
    return at[0], at[1], at[2]


def _describe(
    image: NDArray[np.float32],
    share: NDArray[np.float32],
    step: NDArray[np.float64],
    clicks: Sequence[Click],
    trusted: NDArray[np.bool_],
) -> NDArray[np.float32]:
    inside = share > 0.5
    cell = float(step.min())
    outward = _distance(~inside, step)
    signed = _distance(inside, step) - outward
    radius = max((3 / (4 * np.pi) * float(inside.sum()) * float(step.prod())) ** (1 / 3), cell)
    core = inside & (signed > min(1.5 * cell, 0.3 * radius))
    core = core if core.sum() >= 8 else inside
    rest = ~inside & (outward > 1.0 * cell)
    rest = rest if rest.sum() >= 8 else ~inside
    spread = float(image.std()) + _TINY
    of_core = float(image[core].mean()) if core.any() else float(image.mean())
    of_rest = float(image[rest].mean()) if rest.any() else float(image.mean())
    smooth = ndimage.gaussian_filter(image, 0.8 * cell / step)
    slope = _slope(smooth, step, cell) / spread
    sharp, blurred = Histograms(image, image), Histograms(smooth, image)
    like = [np.clip(h.log(core) - h.log(rest), -4, 4) for h in (sharp, blurred)]
    include = [click for click in clicks if click.include]
    exclude = [click for click in clicks if not click.include]
    edges = 0.05 + np.minimum(slope, 3)
    known = np.broadcast_to(trusted.reshape(-1, 1, 1), image.shape).astype(np.float32)
    maps = (
        (image - of_core) / spread,
        (image - of_rest) / spread,
        slope,
        2 * share - 1,
        np.clip(signed / radius, -2, 2),
        np.clip(signed / cell / 4, -2, 2),
        *like,
        *_near(image.shape, step, include, radius),
        *_near(image.shape, step, exclude, radius),
        _way(edges, step, include, radius),
        _way(edges, step, exclude, radius),
        *_last(image, smooth, step, clicks, core, rest, spread),
        known,
        known * (2 * share - 1),
        np.full(image.shape, np.log(step[0] / cell)),
    )
    return np.stack([np.asarray(m, np.float32) for m in maps])


def _distance(where: NDArray[np.bool_], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Millimetres from cells where something holds to the nearest where it does not; 0 elsewhere."""
    if where.all() or not where.any():
        return np.zeros(where.shape)
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(where, sampling=step)
    return distance


def _slope(image: NDArray[np.float32], step: NDArray[np.float64], cell: float) -> NDArray[np.float64]:
    along = [np.gradient(image, s, axis=a) * cell for a, s in enumerate(step) if image.shape[a] > 1]
    slope: NDArray[np.float64] = np.sqrt(sum(g**2 for g in along)) if along else np.zeros(image.shape)
    return slope


def _away(shape: tuple[int, ...], step: NDArray[np.float64], at: tuple[int, int, int]) -> NDArray[np.float64]:
    offsets = np.meshgrid(
        *[(np.arange(n) - c) * s for n, c, s in zip(shape, at, step, strict=True)], indexing="ij", sparse=True
    )
    return np.sqrt(sum(offset**2 for offset in offsets))


def _near(
    shape: tuple[int, ...], step: NDArray[np.float64], clicks: Sequence[Click], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How near the nearest of some clicks is, finely and widely."""
    if not clicks:
        return np.zeros(shape), np.zeros(shape)
    away = np.min([_away(shape, step, click.voxel) for click in clicks], axis=0)
    return np.exp(-away / (0.12 * radius)), np.exp(-away / (0.5 * radius))


def _way(
    cost: NDArray[np.float64], step: NDArray[np.float64], clicks: Sequence[Click], radius: float
) -> NDArray[np.float64]:
    """How near the nearest of some clicks is along the cheapest way through the image."""
    if not clicks:
        return np.zeros(cost.shape)
    seeds = np.array([click.voxel for click in clicks])
    ways = MCP_Geometric(cost, sampling=tuple(step)).find_costs(seeds)[0]
    return np.exp(-np.minimum(ways / (0.3 * radius), _LONGEST_WAY))


def _last(
    image: NDArray[np.float32],
    smooth: NDArray[np.float32],
    step: NDArray[np.float64],
    clicks: Sequence[Click],
    core: NDArray[np.bool_],
    rest: NDArray[np.bool_],
    spread: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of the last click, positive for an include click: nearness, nearness through what looks alike, likelihood."""
    if not clicks:
        return np.zeros(image.shape), np.zeros(image.shape), np.zeros(image.shape)
    last = clicks[-1]
    sign = 1.0 if last.include else -1.0
    depth = max(last.depth, float(step.min()))
    away = _away(image.shape, step, last.voxel)
    contrast = np.abs(smooth - smooth[last.voxel]) / spread
    ways = MCP_Geometric(0.1 + contrast, sampling=tuple(step)).find_costs([last.voxel])[0]
    ball = away <= max(0.7 * depth, 1.01 * float(step.min()))
    histogram = Histograms(smooth, image)
    like = np.clip(histogram.log(ball) - histogram.log(rest if last.include else core), -4, 4)
    return (
        sign * np.exp(-0.5 * (away / depth) ** 2),
        sign * np.exp(-np.minimum(ways / (0.3 * depth), _LONGEST_WAY)),
        sign * like,
    )
