"""Measurements of labelled objects, in the units of a report.

mL, mm, HU.

Everything comes from the affine, so oblique and sheared grids measure right. Surfaces are those of a
marching-cubes mesh over voxels, about 5 to 15 % above the area of a smooth body.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.window import is_ct
from napari_sam2.errors import GeometryError
from napari_sam2.measures.boxes import label_boxes
from napari_sam2.measures.recist import Line, recist_axes
from napari_sam2.measures.slabs import centre_of, count_components, surface_area

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = [
    "Growth",
    "Intensity",
    "Measurement",
    "growth",
    "growth_rows",
    "intensity_columns",
    "intensity_of",
    "measure",
    "measure_each",
    "measurement_rows",
]


@dataclass(frozen=True, slots=True)
class Intensity:
    """Intensities inside an object; NaN and infinite voxels are left out.

    Attributes
    ----------
    unit : str
        ``"HU"`` for CT, else empty: MR has no unit.
    mean, sd, low, p5, median, p95, high : float
        Standard deviation of the population; percentiles interpolated.
    """

    unit: str = ""
    mean: float = math.nan
    sd: float = math.nan
    low: float = math.nan
    p5: float = math.nan
    median: float = math.nan
    p95: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True)
class Measurement:
    """One object.

    Attributes
    ----------
    label_id : int
        Value in the label map.
    name : str
        For people.
    voxels : int
        Number of voxels.
    volume_ml : float
        Volume.
    surface_mm2 : float
        Area of its marching-cubes mesh.
    long_axis_mm, short_axis_mm : float
        RECIST: the longest diameter of a connected region in any axial slice, and the longest one at
        right angles to it there; of the convex outline, from voxel edge to voxel edge.
    axis_slice : int
        That slice's index.
    long_line, short_line : Line
        Ends of both axes, to be drawn.
    low, high : tuple of int
        Bounding box (i, j, k); both belong to it.
    centroid, centroid_mm : tuple of float
        Mean position, in voxels and in RAS+ mm.
    components : int
        Pieces that do not touch, not even by a corner.
    touches_border : bool
        Whether it reaches the edge of the volume, so that a part may be missing.
    intensity : Intensity
        Of the voxels inside.
    """

    label_id: int
    name: str
    voxels: int
    volume_ml: float
    surface_mm2: float
    long_axis_mm: float
    short_axis_mm: float
    axis_slice: int
    long_line: Line
    short_line: Line
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    centroid: tuple[float, float, float]
    centroid_mm: tuple[float, float, float]
    components: int
    touches_border: bool
    intensity: Intensity


@dataclass(frozen=True, slots=True)
class Growth:
    """How one object changed between two scans.

    NaN where it is missing from one of them.

    Attributes
    ----------
    label_id, name
        The object.
    volume_ml, long_axis_mm : tuple of float
        Before and after.
    volume_percent, long_axis_percent : float
        Change relative to before.
    """

    label_id: int
    name: str
    volume_ml: tuple[float, float]
    volume_percent: float
    long_axis_mm: tuple[float, float]
    long_axis_percent: float


def measure(labels: NDArray[Any], volume: Volume, names: Mapping[int, str] | None = None) -> list[Measurement]:
    """Measure every object of a label map.

    Parameters
    ----------
    labels : (I, J, K) array of integers
        On the grid of `volume`.
    volume : Volume
        The image.
    names : mapping of int to str, optional
        Names by id.

    Returns
    -------
    list of Measurement
        By rising id; 0 is left out.

    Raises
    ------
    GeometryError
        If the shapes differ.
    """
    return list(measure_each(labels, volume, names))


def measure_each(labels: NDArray[Any], volume: Volume, names: Mapping[int, str] | None = None) -> Iterator[Measurement]:
    """Measure object by object, for whoever shows how far it is.

    Parameters, order and errors as `measure`.
    """
    if labels.shape != volume.shape:
        raise GeometryError(f"Labels must have the volume's shape {volume.shape}; got {labels.shape}.")
    names = names or {}
    unit = "HU" if not volume.is_rgb and is_ct(volume) else ""
    for label_id, box in sorted(label_boxes(labels).items()):
        name = names.get(label_id, f"object {label_id}")
        yield _measure_one(label_id, name, labels[box] == label_id, box, volume, unit)


def growth(before: Sequence[Measurement], after: Sequence[Measurement]) -> list[Growth]:
    """Compare two scans, object by object.

    Their grids may differ; each was measured on its own.
    """
    earlier, later = ({m.label_id: m for m in scan} for scan in (before, after))
    changes = []
    for label_id in sorted(earlier.keys() | later.keys()):
        pair = earlier.get(label_id), later.get(label_id)
        ml = tuple(m.volume_ml if m else math.nan for m in pair)
        mm = tuple(m.long_axis_mm if m else math.nan for m in pair)
        name = next(m.name for m in reversed(pair) if m)
        changes.append(
            Growth(label_id, name, (ml[0], ml[1]), _percent(ml[0], ml[1]), (mm[0], mm[1]), _percent(mm[0], mm[1]))
        )
    return changes


def measurement_rows(measurements: Sequence[Measurement], case: str = "") -> list[dict[str, Any]]:
    """Measurements as rows for a table.

    Units stand in the column names.
    """
    rows = []
    for m in measurements:
        row: dict[str, Any] = {"case": case} if case else {}
        row |= {"id": m.label_id, "name": m.name, "voxels": m.voxels, "volume_ml": m.volume_ml}
        row |= {"surface_mm2": m.surface_mm2, "long_axis_mm": m.long_axis_mm, "short_axis_mm": m.short_axis_mm}
        row |= {"axis_slice": m.axis_slice, "components": m.components, "touches_border": m.touches_border}
        row |= intensity_columns(m.intensity, "intensity")
        for axis, letter in enumerate("ijk"):
            row |= {f"{letter}_low": m.low[axis], f"{letter}_high": m.high[axis]}
        row |= {f"centroid_{letter}": m.centroid[axis] for axis, letter in enumerate("ijk")}
        row |= {f"centroid_{letter}_mm": m.centroid_mm[axis] for axis, letter in enumerate("xyz")}
        rows.append(row)
    return rows


def intensity_columns(intensity: Intensity, prefix: str) -> dict[str, float]:
    """Intensities as columns, such as ``intensity_mean_hu``."""
    unit = f"_{intensity.unit.lower()}" if intensity.unit else ""
    return {f"{prefix}_{key}{unit}": value for key, value in asdict(intensity).items() if key != "unit"}


def growth_rows(changes: Sequence[Growth]) -> list[dict[str, Any]]:
    """Changes as rows for a table.

    Units stand in the column names.
    """
    return [
        {
            "id": g.label_id,
            "name": g.name,
            "volume_ml_before": g.volume_ml[0],
            "volume_ml_after": g.volume_ml[1],
            "volume_change_percent": g.volume_percent,
            "long_axis_mm_before": g.long_axis_mm[0],
            "long_axis_mm_after": g.long_axis_mm[1],
            "long_axis_change_percent": g.long_axis_percent,
        }
        for g in changes
    ]


def _measure_one(
    label_id: int, name: str, crop: NDArray[np.bool_], box: tuple[slice, ...], volume: Volume, unit: str
) -> Measurement:
    start = np.array([s.start for s in box])
    count, centroid = centre_of(crop)
    centroid += start
    low, high = start, start + np.array(crop.shape) - 1
    axes = recist_axes(crop, start, volume)
    edges = [n > 1 and (lo == 0 or hi == n - 1) for lo, hi, n in zip(low, high, volume.shape, strict=True)]
    return Measurement(
        label_id=label_id,
        name=name,
        voxels=count,
        volume_ml=count * volume.voxel_volume_ml,
        surface_mm2=surface_area(crop, volume.affine[:3, :3]),
        long_axis_mm=axes.long_mm,
        short_axis_mm=axes.short_mm,
        axis_slice=axes.index,
        long_line=axes.long_line,
        short_line=axes.short_line,
        low=_ints(low),
        high=_ints(high),
        centroid=_floats(centroid),
        centroid_mm=_floats(volume.voxel_to_world(centroid)),
        components=count_components(crop),
        touches_border=bool(any(edges)),
        intensity=Intensity() if volume.is_rgb else replace(intensity_of(volume.voxels[box][crop]), unit=unit),
    )


def intensity_of(values: NDArray[Any]) -> Intensity:
    """Intensities of some voxels (N,), whose order may change."""
    finite = values if values.dtype.kind != "f" else values[np.isfinite(values)]
    if finite.size == 0:
        return Intensity()
    mean = float(finite.mean(dtype=np.float64))
    pieces = np.array_split(finite, max(1, finite.size >> 20))
    variance = sum(float(((piece.astype(np.float64) - mean) ** 2).sum()) for piece in pieces) / finite.size
    finite.sort()  # a copy of the voxels inside, so that its order is free
    p5, median, p95 = (_percentile(finite, share) for share in (0.05, 0.5, 0.95))
    return Intensity("", mean, math.sqrt(variance), float(finite[0]), p5, median, p95, float(finite[-1]))


def _percentile(ordered: NDArray[Any], share: float) -> float:
    """Interpolated between the two values beside it, as numpy does it by default."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    first, second = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return first + (second - first) * (at - low)


def _percent(before: float, after: float) -> float:
    return (after - before) / before * 100 if before else math.nan


def _ints(values: NDArray[Any]) -> tuple[int, int, int]:
    return int(values[0]), int(values[1]), int(values[2])


def _floats(values: NDArray[Any]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
