"""What is known of the voxels around a click.

Distances, ways through the image, likelihoods, shape.

A correction is looked at on a grid of its own, as fine as the error is small: the click's *depth*, its distance
from the part of the volume that it agrees with, sets the side of the grid and is the unit of every length.
An exclude click is an include click on the outside, so that both are answered alike: here *side* is what the
click says its voxel belongs to (the object, or for an exclude click the outside) and *rest* what lies beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from scipy import ndimage

from napari_sam2.engine.ways import cheapest_ways

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "FEATURES",
    "NEAR",
    "WIDE",
    "Evidence",
    "Histograms",
    "Scene",
    "Span",
    "Voxel",
    "Window",
    "at_places",
    "averaged",
    "depth_of",
    "gather",
    "on_voxels",
]

Window = tuple[slice, slice, slice]

Voxel = tuple[int, int, int]
"""Slice, row, column."""


@dataclass(frozen=True, slots=True)
class Span:
    """How far around a click is looked.

    Attributes
    ----------
    depths : float
        Depths of the click.
    steps : float
        Steps of the finest axis that are looked at in any case.
    cells : int
        Grid cells from the click to the border.
    """

    depths: float
    steps: float
    cells: int


NEAR: Final = Span(4.0, 4.0, 16)
"""For the perceptron: 33 cells a side at most are described at once on one core."""

WIDE: Final = Span(5.0, 12.0, 16)
"""For the network: perfect answers within 2.2, 4, 6 and 8 depths would end at 0.844, 0.917, 0.951 and 0.964."""

BINS: Final = 16
"""Of the histograms of intensities: coarse enough for the few voxels of a small object."""

FEATURES: Final = 30
"""Numbers that describe a voxel."""

_SEARCH: Final = (8, 20, 50, 120, 1000)
"""Steps of the finest axis within which the click's side is looked for, in growing windows."""

_LONGEST_WAY: Final = 20.0
"""Depths; a way through the image that is longer is no way."""

_TINY: Final = 1e-6


class Scene(Protocol):
    """A volume around an object, as (slices, rows, columns)."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """The object inside a window."""
        ...

    def image(self, window: Window) -> NDArray[np.float32]:
        """Grey values in [0, 1] inside a window."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The grid around a click.

    Attributes
    ----------
    window : tuple of slice
        Part of the volume that the grid covers.
    strides : tuple of int
        Voxels of the volume that a grid voxel spans along each axis.
    side : bool array
        What already lies on the click's side.
    open : bool array
        Voxels that the click may win.
    maps : (..., FEATURES) float32 array
        What is known of every grid voxel.
    slice_step, depth : float
        Millimetres from slice to slice of the grid, and the click's depth.
    """

    window: Window
    strides: tuple[int, int, int]
    side: NDArray[np.bool_]
    open: NDArray[np.bool_]
    maps: NDArray[np.float32]
    slice_step: float
    depth: float

    @property
    def features(self) -> NDArray[np.float32]:
        """Of the open voxels, (N, FEATURES), in C order."""
        return self.maps[self.open]


def gather(
    scene: Scene,
    click: tuple[int, int, int],
    include: bool,
    earlier: Sequence[tuple[Voxel, bool]] = (),
    span: Span = NEAR,
) -> Evidence | None:
    """Look around a click.

    Parameters
    ----------
    scene : Scene
        Object and image.
    click : tuple of int
        (slice, row, column).
    include : bool
        Whether it belongs to the object.
    earlier : sequence of (voxel, bool)
        The clicks before this one, and whether they belong to the object.
    span : Span
        How far is looked.

    Returns
    -------
    Evidence or None
        None when the click says what the mask says already.
    """
    spacing = np.asarray(scene.spacing, dtype=np.float64)
    depth = depth_of(scene, click, include)
    if depth == 0:
        return None
    depth = max(depth, float(spacing.min()))
    reach = max(span.depths * depth, span.steps * float(spacing.min()))
    window = _window(scene.shape, click, np.maximum(np.ceil(reach / spacing), 1))
    cells = [int(max(1, round(reach / span.cells / step))) for step in spacing]
    strides = (cells[0], cells[1], cells[2])
    object_mask = scene.mask(window)
    side = averaged((object_mask if include else ~object_mask).astype(np.float32), strides) > 0.5
    grid = _Grid(averaged(scene.image(window), strides), side, spacing, strides, depth)
    centre = [(c - w.start) // s for c, w, s in zip(click, window, strides, strict=True)]
    opposing = [
        [(v - w.start) / s for v, w, s in zip(voxel, window, strides, strict=True)]
        for voxel, of in earlier
        if of is not include
    ]
    features, distance = grid.describe((centre[0], centre[1], centre[2]), opposing)
    open_voxels = ~side & (distance <= reach)
    return Evidence(window, strides, side, open_voxels, features, grid.between_slices * strides[0], depth)


class _Grid:
    """Image and mask on the grid of a correction, lengths in millimetres."""

    def __init__(
        self,
        image: NDArray[np.float32],
        side: NDArray[np.bool_],
        spacing: NDArray[np.float64],
        strides: tuple[int, int, int],
        depth: float,
    ) -> None:
        self.image, self.side, self.step, self.depth = image, side, spacing * strides, depth
        self.finest, self.between_slices = float(spacing.min()), float(spacing[0])

    def describe(
        self, centre: Voxel, opposing: Sequence[Sequence[float]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Features (..., FEATURES) of every grid voxel, and its distance from the click."""
        image, side, step, depth = self.image, self.side, self.step, self.depth
        side[centre] = False
        offsets = np.meshgrid(
            *[(np.arange(n) - c) * s for n, c, s in zip(image.shape, centre, step, strict=True)],
            indexing="ij", sparse=True,
        )  # fmt: skip
        away = np.sqrt(sum(offset**2 for offset in offsets))
        across = np.abs(offsets[0]) + np.zeros(image.shape)
        in_plane = np.sqrt(np.maximum(away**2 - across**2, 0))
        outside = ndimage.distance_transform_edt(~side, sampling=step) if side.any() else np.full(side.shape, 2 * depth)
        inside = ndimage.distance_transform_edt(side, sampling=step) if side.any() else np.zeros(side.shape)
        spread = float(image.std()) + _TINY
        smooth = ndimage.gaussian_filter(image, np.maximum(0.25 * depth / step, 0.4))
        slope = self._slope() / spread
        near_click = (away <= max(0.5 * depth, 1.01 * step.min())) & ~side
        own = float(image[near_click].mean())
        own_spread = max(float(image[near_click].std()), 0.05 * spread)
        known = side & (away < 3 * depth)
        known = known if known.sum() >= 8 else side
        rest = ~side & (outside > 1.25 * depth)
        of_side = float(image[known].mean()) if known.any() else own
        of_rest = float(image[rest].mean()) if rest.sum() > 8 else own
        sign = np.sign(of_side - of_rest) or 1.0
        around = (away <= max(0.8 * depth, 1.01 * step.min())) & ~side
        sharp, blurred = Histograms(image, image), Histograms(smooth, image)
        like_rest = sharp.log(rest), blurred.log(rest)
        like_side = sharp.log(known), blurred.log(known)
        like_click = sharp.log(around), blurred.log(around)
        contrast = np.abs(image - own) / spread
        alike = 0.15 + contrast + 0.5 * np.minimum(slope * step.min() / depth, 3)
        edges = 0.1 + np.minimum(slope * step.min() / depth, 5)
        border = side & ndimage.binary_dilation(~side)
        numbers = (
            np.log(depth / self.finest),
            np.log(max(float(inside.max()), _TINY) / depth),
            np.log(self.between_slices / depth),
            abs(own - of_side) / spread,
            abs(own - of_rest) / spread,
            abs(of_side - of_rest) / spread,
        )
        maps = (
            away / depth,
            outside / depth,
            across / depth,
            in_plane / depth,
            (image - own) / spread * sign,
            contrast,
            np.abs(smooth - smooth[centre]) / spread,
            np.abs(image - own) / own_spread,
            np.abs(image - of_side) / spread,
            np.abs(image - of_rest) / spread,
            like_click[0] - like_rest[0],
            like_click[1] - like_rest[1],
            like_side[0] - like_rest[0],
            like_side[1] - like_rest[1],
            like_click[1] - like_side[1],
            self._ways(alike, np.array([centre])),
            self._ways(edges, np.array([centre])),
            self._ways(edges, np.argwhere(border)),
            slope,
            *self._shares(),
            self._near(opposing),
            *(np.full(image.shape, number) for number in numbers),
        )
        return np.stack([np.broadcast_to(m, image.shape) for m in maps], axis=-1).astype(np.float32), away

    def _slope(self) -> NDArray[np.float64]:
        """Length of the gradient, over a depth."""
        image = self.image
        along = [np.gradient(image, s, axis=a) * self.depth for a, s in enumerate(self.step) if image.shape[a] > 1]
        slope: NDArray[np.float64] = np.sqrt(sum(g**2 for g in along)) if along else np.zeros(image.shape)
        return slope

    def _ways(self, cost: NDArray[np.float64], seeds: NDArray[np.intp]) -> NDArray[np.float64]:
        """The cheapest way from seeds to every voxel, in depths."""
        if len(seeds) == 0:
            return np.full(cost.shape, 10.0)
        return np.minimum(cheapest_ways(cost, seeds, tuple(self.step)) / self.depth, _LONGEST_WAY)

    def _near(self, clicks: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """How near the nearest of some earlier clicks is, 0 to 1."""
        nearest = np.full(self.image.shape, np.inf)
        for at in clicks:
            offsets = np.meshgrid(
                *[(np.arange(n) - c) * s for n, c, s in zip(self.image.shape, at, self.step, strict=True)],
                indexing="ij", sparse=True,
            )  # fmt: skip
            nearest = np.minimum(nearest, np.sqrt(sum(offset**2 for offset in offsets)))
        near: NDArray[np.float64] = np.exp(-nearest / self.depth)
        return near

    def _shares(self) -> tuple[NDArray[np.float32], ...]:
        """How much of the surroundings lies on the click's side, at three sizes, and along the slices alone."""
        side = self.side.astype(np.float32)
        balls = [ndimage.gaussian_filter(side, f * self.depth / self.step, mode="nearest") for f in (0.5, 1.0, 2.0)]
        column = ndimage.gaussian_filter1d(side, self.depth / self.step[0], axis=0, mode="nearest")
        return (*balls, column)


class Histograms:
    """Intensities in bins over the bulk of an image's range."""

    def __init__(self, values: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        low, high = np.percentile(reference, [1, 99])
        span = max(float(high - low), _TINY)
        self._bins = np.clip((values - low) / span * (BINS - 0.001), 0, BINS - 1).astype(np.intp)

    def log(self, where: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Log likelihood of every voxel's intensity under those of some voxels."""
        counts = np.bincount(self._bins[where], minlength=BINS).astype(np.float64)
        counts = ndimage.gaussian_filter1d(counts, 1.0)
        # A bin that nobody fell into is rare, not impossible.
        counts = counts + 0.02 * max(counts.sum(), 1.0) / BINS + 1e-3
        log: NDArray[np.float64] = np.log(counts / counts.sum())[self._bins]
        return log


def depth_of(scene: Scene, click: Voxel, include: bool) -> float:
    """Millimetres from a click to the nearest voxel on its side.

    0 when it lies there itself.
    """
    spacing = np.asarray(scene.spacing, dtype=np.float64)
    nearest = np.inf
    for steps in _SEARCH:
        reach = steps * float(spacing.min())
        window = _window(scene.shape, click, np.maximum(np.ceil(reach / spacing), 2))
        side = np.argwhere(scene.mask(window) == include)
        if len(side):
            away = (side + [w.start for w in window] - np.asarray(click)) * spacing
            nearest = float(np.sqrt((away**2).sum(axis=1)).min())
            if nearest <= reach:
                return nearest
    return nearest if np.isfinite(nearest) else 4 * float(spacing.min())


def _window(shape: tuple[int, int, int], click: tuple[int, int, int], reach: NDArray[np.float64]) -> Window:
    first = [max(0, int(c - r)) for c, r in zip(click, reach, strict=True)]
    last = [min(n, int(c + r) + 1) for c, r, n in zip(click, reach, shape, strict=True)]
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])


def averaged(values: NDArray[np.float32], strides: tuple[int, int, int]) -> NDArray[np.float32]:
    """Means over blocks.

    Blocks at the end are filled with their last voxels.
    """
    if strides == (1, 1, 1):
        return values.copy()
    counts = [-(-n // s) for n, s in zip(values.shape, strides, strict=True)]
    widths = [(0, m * s - n) for m, s, n in zip(counts, strides, values.shape, strict=True)]
    filled = np.pad(values, widths, mode="edge")
    blocks = [size for pair in zip(counts, strides, strict=True) for size in pair]
    mean: NDArray[np.float32] = filled.reshape(blocks).mean(axis=(1, 3, 5))
    return mean


def on_voxels(values: NDArray[np.float64], window: Window, strides: tuple[int, int, int]) -> NDArray[np.float64]:
    """Values of a grid brought to the voxels of its window, linearly."""
    for axis, (part, stride) in enumerate(zip(window, strides, strict=True)):
        count = part.stop - part.start
        if stride == 1:
            continue
        at = np.clip((np.arange(count) - (stride - 1) / 2) / stride, 0, values.shape[axis] - 1)
        below = np.floor(at).astype(np.intp)
        above = np.minimum(below + 1, values.shape[axis] - 1)
        share = (at - below).reshape([-1 if a == axis else 1 for a in range(3)])
        values = np.take(values, below, axis) * (1 - share) + np.take(values, above, axis) * share
    return values


def at_places(
    values: NDArray[np.float64], places: NDArray[np.intp], strides: tuple[int, int, int]
) -> NDArray[np.float64]:
    """What `on_voxels` gives, at some voxels alone, to the last digit.

    Parameters
    ----------
    values : (slices, rows, columns) array
        Of a grid.
    places : (N, 3) int array
        Voxels, from the first of the grid's window.
    strides : tuple of int
        Voxels that a cell spans along each axis.
    """
    first, last, shares = [], [], []
    for axis, stride in enumerate(strides):
        at = np.clip((places[:, axis] - (stride - 1) / 2) / stride, 0, values.shape[axis] - 1)
        below = np.floor(at).astype(np.intp)
        first.append(below)
        last.append(np.minimum(below + 1, values.shape[axis] - 1))
        shares.append(at - below)
    corners = [values[i, j, k] for i in (first[0], last[0]) for j in (first[1], last[1]) for k in (first[2], last[2])]
    for share in shares:
        half = len(corners) // 2
        corners = [low * (1 - share) + high * share for low, high in zip(corners[:half], corners[half:], strict=True)]
    found: NDArray[np.float64] = corners[0]
    return found
