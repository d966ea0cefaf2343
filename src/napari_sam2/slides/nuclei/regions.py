"""Candidates for nuclei.

What lies above one of many thresholds, and its parts.

Regions above a falling threshold grow and join; each is a candidate, with those that joined in it as its parts
(the component tree of Matas et al., "Robust wide baseline stereo from maximally stable extremal regions",
BMVC 2002). Nuclei that touch at every threshold are parted where their common shape is narrow, by a watershed
of the distance to the border; these pieces are candidates as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from napari_sam2.slides.nuclei.drawing import Drawing, GrowingRegions, is_between
from napari_sam2.slides.nuclei.signal import contrast, nuclear_signal, redness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.slides.nuclei.signal import Look

__all__ = ["COLUMNS", "Candidates", "candidates_of"]

THRESHOLDS: Final = 40

SMALLEST_AREA: Final = 0.08
LARGEST_AREA: Final = 12.0
"""Areas of candidates, over that of a disc of the expected diameter."""

PARTED_ABOVE: Final = 0.5
PARTED_BELOW_FIT: Final = 0.96
"""Regions are parted by shape when they are larger than this share of the expected area, and no good ellipse."""

PART_EVERY: Final = 2
"""Thresholds between two partings."""

PEAK_DISTANCE: Final = 0.22
"""Of two peaks of the distance to the border, over the diameter."""

SMOOTH_DISTANCE: Final = (0.7, 1 / 16)
"""Of the distance to the border: pixels at least, and over the diameter."""

WEAK_EDGE: Final = 0.35
"""A border pixel is weak when the signal rises there by less than this share of its range along one diameter."""

COLUMNS: Final = (
    "area", "fit", "roundness", "edge", "inside", "weak", "rise", "spread", "compactness", "at_border", "level",
    "is_part", "hue",
)  # fmt: skip
"""What is measured of a candidate, see `Candidates`."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All candidates of one tile.

    Attributes
    ----------
    table : (N, len(COLUMNS)) float array
        `area` over the expected one; `fit`: area over that of the ellipse with the same moments; `roundness`: its
        shorter over its longer axis; `edge` and `inside`: slope of the signal at the border and inside, in ranges
        per diameter; `weak`: share of the border with hardly a slope; `rise` and `spread`: mean over the threshold
        and standard deviation, in ranges; `compactness`: perimeter squared over 4 pi area; `at_border`: 1 where it
        reaches the border of the tile; `level`: its threshold in the range; `is_part`: 1 when it was parted by
        shape; `hue`: redness over that of the slide.
    parents : (N,) int array
        The candidate that a candidate is a part of; -1 for none. Parts come before what they are parts of, except
        those that were parted by shape.
    pictures, labels : (N,) int array
        Where it is drawn: which of `drawings`, and its number there.
    drawings : list of Drawing
        Numbered candidates of one threshold.
    """

    table: NDArray[np.float64]
    parents: NDArray[np.int64]
    pictures: NDArray[np.int64]
    labels: NDArray[np.int64]
    drawings: list[Drawing]

    def column(self, name: str) -> NDArray[np.float64]:
        """One of `COLUMNS` for all candidates."""
        return self.table[:, COLUMNS.index(name)]

    def mask(self, number: int) -> NDArray[np.bool_]:
        """Pixels of a candidate."""
        return np.asarray(self.drawings[self.pictures[number]].picture == self.labels[number])


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """Pictures of one tile that candidates are measured on."""

    signal: NDArray[np.float32]
    slope: NDArray[np.float32]
    hue: NDArray[np.float32]
    look: Look
    diameter: float

    @property
    def disc(self) -> float:
        return float(np.pi / 4 * self.diameter**2)

    @property
    def areas(self) -> tuple[float, float]:
        """Smallest and largest area of a candidate, in pixels."""
        return max(8.0, SMALLEST_AREA * self.disc), LARGEST_AREA * self.disc


def candidates_of(rgb: NDArray[np.uint8], look: Look, diameter: float) -> Candidates:
    """Find all candidates on a tile.

    Parameters
    ----------
    rgb : (rows, columns, 3) uint8 array
        The tile.
    look : Look
        Of the slide.
    diameter : float
        Expected one, in pixels of the tile.
    """
    signal = contrast(nuclear_signal(rgb, look.is_dark, look.channel), diameter)
    slope = np.hypot(*np.gradient(signal)).astype(np.float32)
    field = _Field(signal, slope, redness(rgb) - np.float32(look.hue), look, diameter)
    growing = GrowingRegions(signal, *field.areas)
    tables: list[NDArray[np.float64]] = []
    drawings: list[Drawing] = []
    parents: list[NDArray[np.int64]] = []
    count = 0
    last: tuple[Drawing, int] | None = None  # numbered regions of the last threshold, and where they begin
    for step, threshold in enumerate(np.linspace(look.high, look.low, THRESHOLDS + 2)[1:-1]):
        regions = growing.above(threshold)
        if regions.count == 0:
            last = None
            continue
        first, picture = count, regions.picture
        if last is not None:
            parents[last[1]] = _parents(last[0], picture, first)
        table = _measured(regions, picture, field, threshold, is_part=False)
        last = regions, len(parents)
        tables.append(table)
        drawings.append(regions)
        parents.append(np.full(regions.count, -1))
        count += regions.count
        if step % PART_EVERY:
            continue
        parts = _parted(regions, picture, table, field)
        if parts.count:
            tables.append(_measured(parts, parts.picture, field, threshold, is_part=True))
            drawings.append(parts)
            parents.append(_parents(parts, picture, first))
            count += parts.count
    if not tables:
        none = np.zeros(0, dtype=np.int64)
        return Candidates(np.zeros((0, len(COLUMNS))), none, none, none, [])
    sizes = [len(table) for table in tables]
    return Candidates(
        np.concatenate(tables),
        np.concatenate(parents),
        np.repeat(np.arange(len(drawings)), sizes),
        np.concatenate([np.arange(1, size + 1) for size in sizes]),
        drawings,
    )


def _parents(parts: Drawing, wholes: NDArray[np.int32], first: int) -> NDArray[np.int64]:
    """For each part the region that holds it, counted from `first`; -1 when it is not among them."""
    places = np.zeros(parts.count + 1, dtype=np.int64)
    places[parts.numbers] = parts.pixels
    owners = wholes.ravel()[places[1:]].astype(np.int64)
    return np.where(owners > 0, owners - 1 + first, -1)


def _parted(regions: Drawing, picture: NDArray[np.int32], table: NDArray[np.float64], field: _Field) -> Drawing:
    """Large regions that are no ellipse, parted where they are narrow."""
    area, fit = table[:, COLUMNS.index("area")], table[:, COLUMNS.index("fit")]
    is_doubtful = np.concatenate([[False], (area > PARTED_ABOVE) & (fit < PARTED_BELOW_FIT)])
    if not is_doubtful.any():
        return regions.only(is_doubtful)
    doubtful = regions.only(is_doubtful)
    numbers = doubtful.picture
    distance = ndimage.gaussian_filter(
        _distance(doubtful, numbers), max(SMOOTH_DISTANCE[0], field.diameter * SMOOTH_DISTANCE[1])
    )
    peaks = peak_local_max(
        distance, min_distance=max(2, int(field.diameter * PEAK_DISTANCE)), labels=numbers, exclude_border=False
    )
    owners = numbers[tuple(peaks.T)]
    is_several = np.bincount(owners, minlength=doubtful.count + 1) > 1
    peaks = peaks[is_several[owners]]
    seeds = np.zeros(numbers.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    pieces = Drawing.of(watershed(-distance, seeds, mask=is_several[numbers]).astype(np.int32), len(peaks))
    return pieces.only(is_between(pieces.areas(), *field.areas))


def _distance(regions: Drawing, picture: NDArray[np.int32]) -> NDArray[np.float64]:
    """Distance of each pixel inside to the nearest one outside."""
    distance = np.zeros(picture.shape)
    if len(regions.pixels) == picture.size:
        return distance
    nearest = ndimage.distance_transform_edt(picture, return_distances=False, return_indices=True)
    places = np.divmod(regions.pixels, picture.shape[1])
    rows, cols = (axis.ravel()[regions.pixels] - place for axis, place in zip(nearest, places, strict=True))
    distance.ravel()[regions.pixels] = np.sqrt(rows * rows + cols * cols)
    return distance


def _measured(
    regions: Drawing, labels: NDArray[np.int32], field: _Field, threshold: float, *, is_part: bool
) -> NDArray[np.float64]:
    """Rows of the table for numbered regions."""
    inside, owner, number = regions.pixels, regions.numbers, regions.count
    count = np.bincount(owner, minlength=number + 1)[1:].astype(float)

    def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(owner, values, number + 1)[1:] / count)

    row, col = (place.astype(float) for place in np.divmod(inside, labels.shape[1]))
    mean_row, mean_col = mean(row), mean(col)
    # A pixel is a square: a twelfth is its own second moment.
    rows = mean(row * row) - mean_row**2 + 1 / 12
    cols = mean(col * col) - mean_col**2 + 1 / 12
    both = mean(row * col) - mean_row * mean_col
    determinant = np.maximum(rows * cols - both**2, 1e-6)
    half = (rows + cols) / 2
    apart = np.sqrt(np.maximum(half**2 - determinant, 0))
    signal = field.signal.ravel()[inside].astype(float)
    mean_signal = mean(signal)
    edge = _edge(labels)
    edge_owner, edge_slope = labels[edge], field.slope[edge].astype(float)
    length = np.maximum(np.bincount(edge_owner, minlength=number + 1)[1:], 1).astype(float)
    at_edge = np.bincount(edge_owner, edge_slope, number + 1)[1:]
    is_weak = edge_slope < WEAK_EDGE * field.look.span / field.diameter
    within = np.maximum(mean(field.slope.ravel()[inside].astype(float)) * count - at_edge, 0)
    at_border = np.zeros(number + 1)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        at_border[side] = 1
    slopes = field.diameter / field.look.span
    columns = {
        "area": count / field.disc,
        "fit": count / (4 * np.pi * np.sqrt(determinant)),
        "roundness": np.sqrt(np.maximum(half - apart, 1e-6) / (half + apart)),
        "edge": at_edge / length * slopes,
        "inside": within / np.maximum(count - length, 1) * slopes,
        "weak": np.bincount(edge_owner, is_weak, number + 1)[1:] / length,
        "rise": (mean_signal - threshold) / field.look.span,
        "spread": np.sqrt(np.maximum(mean(signal**2) - mean_signal**2, 0)) / field.look.span,
        "compactness": length**2 / (4 * np.pi * count),
        "at_border": at_border[1:],
        "level": np.full(number, (threshold - field.look.low) / field.look.span),
        "is_part": np.full(number, float(is_part)),
        "hue": mean(field.hue.ravel()[inside].astype(float)),
    }
    return np.column_stack([columns[name] for name in COLUMNS])


def _edge(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of regions beside a pixel of another number."""
    edge = np.zeros(labels.shape, dtype=bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge & (labels > 0)
