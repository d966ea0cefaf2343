"""What is known of a carried object as a whole.

The grid is as fine as the boxed section is small, and reaches beyond the mask on every side. Of every cell it tells the
image against that of the boxed section, the mask around it, where it lies from the boxed slice, and how the section of
its slice compares with that of the next one on the way to the box.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.engine.correction_evidence import Histograms, averaged
from napari_sam2.engine.ways import kept_ways

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Scene, Voxel, Window

__all__ = ["CLICKED_FEATURES", "FEATURES", "PRIOR", "Run", "Survey", "on_grid", "survey"]

FEATURES: Final = 35
"""Numbers of a cell; the last is what the mask says already, as a logit."""

CLICKED_FEATURES: Final = FEATURES + 10
"""The same where clicks are told as well."""

PRIOR: Final = 1.5
"""Logit of a cell's side by which the mask is believed: 82 % one cell inside the border."""

CELLS: Final = 32
"""Cells along the longest side of the boxed section, at most."""

MOST_CELLS: Final = 80_000
"""Of the whole grid; a larger one gets larger cells."""

BESIDE: Final = 0.35
"""What is looked at beyond the mask within slices, over the boxed section's longest side."""

BEYOND: Final = 0.6
"""The same along the slices."""

LEAST_BEYOND: Final = 2
"""Slices that are looked at beyond the mask in any case."""

_MOST_PRIOR: Final = 4.0
_MOST_UNLIKE: Final = 5.0
_TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a propagation that came to its end.

    Attributes
    ----------
    bounds : tuple of slice
        Around the mask, as (slices, rows, columns).
    known : collection of int
        Prompted and accepted slices: their masks stay. Not empty.
    trust : mapping of int to float
        The model's own estimate of its mask, by slice.
    told : range, optional
        The slices that may hold the object, where a person said so.
    clicks : sequence of (voxel, bool), optional
        Every click on the object so far, and whether its voxel belongs to it; None for a network that knows no clicks.
    """

    bounds: Window
    known: Collection[int]
    trust: Mapping[int, float] = field(default_factory=dict)
    told: range | None = None
    clicks: Sequence[tuple[Voxel, bool]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """The grid over an object.

    Attributes
    ----------
    window : tuple of slice
        Part of the volume that it covers.
    strides : tuple of int
        Voxels that a cell spans along each axis.
    maps : (FEATURES or CLICKED_FEATURES, slices, rows, columns) float32 array
        What is known of every cell.
    mask : bool array
        The object inside the window, in voxels.
    before : callable, optional
        Gives what was known of every cell before the last click, on the mask as it is now.
    """

    window: Window
    strides: tuple[int, int, int]
    maps: NDArray[np.float32]
    mask: NDArray[np.bool_]
    before: Callable[[], NDArray[np.float32]] | None = None


def survey(scene: Scene, run: Run) -> Survey | None:
    """Look over a carried object.

    Returns
    -------
    Survey or None
        None where the known slices hold nothing of it.
    """
    spacing = np.asarray(scene.spacing, dtype=np.float64)
    sections = {index: _section(scene, run, index) for index in sorted(run.known)}
    sections = {index: section for index, section in sections.items() if section.any()}
    if not sections:
        return None
    side = max(_longest(section, spacing[1:]) for section in sections.values())
    window = _window(scene.shape, run, spacing, side)
    strides = _strides(window, spacing, side)
    mask = scene.mask(window)
    grid = _Grid(averaged(scene.image(window), strides), averaged(mask.astype(np.float32), strides), spacing, strides)
    layers = sorted({(index - window[0].start) // strides[0] for index in sections})
    clicks = None if run.clicks is None else on_grid(run.clicks, window, strides)
    maps = grid.describe(layers, _per_layer(window[0], strides[0], run), clicks)
    if not run.clicks:
        return Survey(window, strides, maps, mask)
    earlier = on_grid(run.clicks[:-1], window, strides)
    return Survey(window, strides, maps, mask, partial(grid.with_clicks, maps, earlier))


def _section(scene: Scene, run: Run, index: int) -> NDArray[np.bool_]:
    section: NDArray[np.bool_] = scene.mask((slice(index, index + 1), *run.bounds[1:]))[0]
    return section


def _longest(section: NDArray[np.bool_], step: NDArray[np.float64]) -> float:
    sides = [np.ptp(np.flatnonzero(section.any(axis=1 - axis))) + 1 for axis in range(2)]
    return float(max(sides * step))


def _window(shape: tuple[int, int, int], run: Run, spacing: NDArray[np.float64], side: float) -> Window:
    margins = np.ceil(np.array([BEYOND, BESIDE, BESIDE]) * side / spacing).astype(int)
    margins[0] = max(margins[0], LEAST_BEYOND)
    first = [max(0, part.start - int(m)) for part, m in zip(run.bounds, margins, strict=True)]
    last = [min(n, part.stop + int(m)) for part, m, n in zip(run.bounds, margins, shape, strict=True)]
    if run.told is not None:
        first[0] = min(max(first[0], run.told.start), *run.known)
        last[0] = max(min(last[0], run.told.stop), *(index + 1 for index in run.known))
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])


def _strides(window: Window, spacing: NDArray[np.float64], side: float) -> tuple[int, int, int]:
    counts = np.array([part.stop - part.start for part in window])
    cell = side / CELLS
    while True:
        strides = [int(max(1, round(cell / step))) for step in spacing]
        if np.prod(-(-counts // strides)) <= MOST_CELLS:
            return strides[0], strides[1], strides[2]
        cell *= 1.1


def _per_layer(slices: slice, stride: int, run: Run) -> NDArray[np.float64]:
    """Of every layer of cells: the mean trust (NaN where there is none), and whether its slices are told (0, 1)."""
    rows = []
    for first in range(slices.start, slices.stop, stride):
        inside = range(first, min(first + stride, slices.stop))
        trust = [run.trust[i] for i in inside if np.isfinite(run.trust.get(i, np.nan))]
        told = 0.0 if run.told is None else float(np.mean([i in run.told for i in inside]))
        rows.append((np.mean(trust) if trust else np.nan, told))
    return np.array(rows, dtype=np.float64)


def on_grid(
    clicks: Sequence[tuple[Voxel, bool]], window: Window, strides: tuple[int, int, int]
) -> list[tuple[Voxel, bool]]:
    """The cells of clicks; what lies outside the window is left out."""
    cells = []
    for voxel, include in clicks:
        if all(part.start <= at < part.stop for at, part in zip(voxel, window, strict=True)):
            i, j, k = ((at - part.start) // n for at, part, n in zip(voxel, window, strides, strict=True))
            cells.append(((i, j, k), include))
    return cells


class _Grid:
    """Image and mask on the grid, lengths in millimetres."""

    def __init__(
        self,
        image: NDArray[np.float32],
        share: NDArray[np.float32],
        spacing: NDArray[np.float64],
        strides: tuple[int, int, int],
    ) -> None:
        self.image, self.share, self.held, self.step = image, share, share > 0.5, spacing * strides
        self.finest, self.between_slices = float(spacing.min()), float(spacing[0])
        self._around: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float] | None = None

    def with_clicks(self, maps: NDArray[np.float32], clicks: list[tuple[Voxel, bool]]) -> NDArray[np.float32]:
        """The maps that were described last, with other clicks."""
        if self._around is None:
            raise RuntimeError("Describe the grid first.")
        others = maps.copy()
        for index, values in enumerate(self._of_clicks(clicks, *self._around), FEATURES - 1):
            others[index] = values
        return others

    def describe(
        self, layers: list[int], per_layer: NDArray[np.float64], clicks: list[tuple[Voxel, bool]] | None
    ) -> NDArray[np.float32]:
        """Maps (features, slices, rows, columns) from the layers with known sections, and what is told of all."""
        image, held, step = self.image, self.held, self.step
        known = np.zeros(held.shape, bool)
        for layer in layers:
            # A section that is smaller than its cells is where most of it lies.
            known[layer] = held[layer] if held[layer].any() else self.share[layer] >= self.share[layer].max()
        radius = float(np.sqrt(known.sum() / len(layers) * step[1] * step[2] / np.pi))
        nearest = np.abs(np.arange(len(held))[:, None] - np.array(layers)).argmin(axis=1)
        layer_of = np.array(layers)[nearest]
        flat = np.stack([_signed(known[layer], step[1:]) for layer in layers]) / radius
        projected = flat[nearest]
        ring = known.copy()
        ring[layers] = (flat < -0.1) & (flat > -1.0)
        spread = float(image.std()) + _TINY
        inside = float(image[known].mean())
        outside = float(image[ring].mean()) if ring.any() else inside
        smooth = ndimage.gaussian_filter(image, np.maximum(0.15 * radius / step, 0.4))
        signed = _signed(held if held.any() else known, step)
        core, beyond = signed > 0.15 * radius, signed < -0.3 * radius
        core = core if core.sum() >= 8 else (held if held.any() else known)
        slope = self._slope() * radius / spread
        likely = []
        for values in (image, smooth):
            bins = Histograms(values, image)
            likely += [bins.log(known) - bins.log(ring), bins.log(core) - bins.log(beyond)]
        contrast = np.abs(image - inside) / spread
        seeds = np.argwhere(known)
        border = held & ndimage.binary_dilation(~held)
        alike = 0.1 + contrast + 0.3 * np.minimum(slope, 3)
        edges = 0.1 + np.minimum(slope, 5)
        away = np.abs(np.arange(len(held)) - layer_of) * step[0] / radius
        areas = self.share.sum(axis=(1, 2))
        known_area = areas[layer_of] + _TINY
        filled = np.flatnonzero(held.any(axis=(1, 2)))
        first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (layers[0], layers[-1])
        reach = np.where(np.arange(len(held)) >= layer_of, last - layer_of, layer_of - first)
        overlap, drift = self._from_slice_to_slice(layer_of)
        look = [_mean_in(self.share, values) for values in likely[:2]]
        trust, told = per_layer[:, 0], per_layer[:, 1]
        of_slices = (
            np.exp(-away),
            np.minimum(away, 8),
            np.minimum(np.abs(np.arange(len(held)) - layer_of) / np.maximum(reach, 1), 3),
            np.clip(np.log(areas / known_area + 0.02), -4, 2),
            overlap,
            drift / radius,
            *look,
            np.nan_to_num(trust, nan=0.0),
            np.isfinite(trust).astype(np.float64),
            told,
        )
        numbers = (
            np.log(radius / self.finest),
            np.log(self.between_slices / radius),
            abs(inside - outside) / spread,
            np.log((last - first + 1) * step[0] / radius),
            float((told > 0).any()),
        )
        sign = np.sign(inside - outside) or 1.0
        self._around = signed, smooth / spread, edges, radius
        shares = [ndimage.gaussian_filter(self.share, f * radius / step, mode="nearest") for f in (0.3, 0.7, 1.5)]
        maps = (
            self.share,
            np.clip(signed / radius, -2, 2),
            np.clip(projected, -2, 2),
            (image - inside) / spread * sign,
            (smooth - inside) / spread * sign,
            (image - outside) / spread * sign,
            *(np.clip(values, -5, 5) for values in likely),
            slope,
            self._ways(alike, seeds, radius),
            self._ways(edges, seeds, radius),
            self._ways(edges, np.argwhere(border), radius),
            *shares,
            ndimage.gaussian_filter1d(self.share, 0.7 * radius / step[0], axis=0, mode="nearest"),
            *(values.reshape(-1, 1, 1) for values in of_slices),
            *(np.full((1, 1, 1), number) for number in numbers),
            *(() if clicks is None else self._of_clicks(clicks, *self._around)),
            np.clip(PRIOR * signed / step.min(), -_MOST_PRIOR, _MOST_PRIOR),
        )
        return np.stack([np.broadcast_to(m, image.shape) for m in maps]).astype(np.float32)

    def _of_clicks(
        self,
        clicks: list[tuple[Voxel, bool]],
        signed: NDArray[np.float64],
        smooth: NDArray[np.float64],
        edges: NDArray[np.float64],
        radius: float,
    ) -> list[NDArray[np.float64]]:
        """Of the clicks of either polarity: nearness in two units, way through the image, likeness, and how many."""
        maps: list[NDArray[np.float64]] = []
        finest = float(self.step.min())
        for polarity in (True, False):
            near, deep = np.zeros(self.image.shape), np.zeros(self.image.shape)
            unlike = np.full(self.image.shape, _MOST_UNLIKE)
            seeds = [cell for cell, include in clicks if include is polarity]
            for cell in seeds:
                away = self._away(cell)
                # How far the border is by now says how large the error was.
                depth = max(abs(float(signed[cell])), finest)
                near = np.maximum(near, np.exp(-away / (0.5 * radius)))
                deep = np.maximum(deep, np.exp(-away / depth))
                unlike = np.where(away / radius < 1.5, np.minimum(unlike, np.abs(smooth - smooth[cell])), unlike)
            ways = self._ways(edges, np.array(seeds, dtype=np.intp).reshape(-1, 3), radius)
            maps += [near, deep, np.minimum(ways, 5.0), unlike, np.full((1, 1, 1), min(len(seeds), 5) / 5)]
        return maps

    def _away(self, cell: Voxel) -> NDArray[np.float64]:
        """Millimetres from a cell."""
        offsets = np.meshgrid(
            *[(np.arange(n) - c) * s for n, c, s in zip(self.image.shape, cell, self.step, strict=True)],
            indexing="ij", sparse=True,
        )  # fmt: skip
        away: NDArray[np.float64] = np.sqrt(sum(offset**2 for offset in offsets))
        return away

    def _slope(self) -> NDArray[np.float64]:
        """Length of the gradient, over a millimetre."""
        image = self.image
        along = [np.gradient(image, s, axis=a) for a, s in enumerate(self.step) if image.shape[a] > 1]
        slope: NDArray[np.float64] = np.sqrt(sum(g**2 for g in along)) if along else np.zeros(image.shape)
        return slope

    def _ways(self, cost: NDArray[np.float64], seeds: NDArray[np.intp], unit: float) -> NDArray[np.float64]:
        """The cheapest way from seeds to every cell."""
        if len(seeds) == 0:
            return np.full(cost.shape, 5.0)
        return np.minimum(kept_ways(cost, seeds, tuple(self.step)) / unit, 10.0)

    def _from_slice_to_slice(self, layer_of: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How sections agree with the next towards a known one: their overlap, and how far their middles lie apart."""
        overlap, drift = np.ones(len(self.held)), np.zeros(len(self.held))
        for layer, towards in enumerate(layer_of):
            if layer == towards:
                continue
            here, there = self.held[layer], self.held[layer + (1 if towards > layer else -1)]
            union = int((here | there).sum())
            overlap[layer] = (here & there).sum() / union if union else 0.0
            if here.any() and there.any():
                apart = [(np.mean(a) - np.mean(b)) * s for a, b, s in zip(
                    np.nonzero(here), np.nonzero(there), self.step[1:], strict=True)]  # fmt: skip
                drift[layer] = np.hypot(*apart)
        return overlap, drift


def _signed(mask: NDArray[np.bool_], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the border, positive inside, zero half a cell from both."""
    half = 0.5 * float(step.min())
    inside: NDArray[np.float64] = ndimage.distance_transform_edt(mask, sampling=step)
    outside: NDArray[np.float64] = ndimage.distance_transform_edt(~mask, sampling=step)
    return np.where(mask, inside - half, half - outside)


def _mean_in(share: NDArray[np.float32], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of values in the section of every layer; 0 where there is none."""
    total = share.sum(axis=(1, 2))
    mean: NDArray[np.float64] = (share * values).sum(axis=(1, 2)) / np.maximum(total, _TINY)
    return np.where(total > 0.5, np.clip(mean, -5, 5), 0.0)
