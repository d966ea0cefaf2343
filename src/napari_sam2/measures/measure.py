"""Measurements of labelled objects, in the units a report uses: mL, mm, HU.

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
from napari_sam2.measures.recist import recist_axes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["Growth", "Intensity", "Measurement", "growth", "growth_rows", "measure", "measurement_rows"]


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
    low: tuple[int, int, int]
    high: tuple[int, int, int]
    centroid: tuple[float, float, float]
    centroid_mm: tuple[float, float, float]
    components: int
    touches_border: bool
    intensity: Intensity


@dataclass(frozen=True, slots=True)
class Growth:
    """How one object changed between two scans; NaN where it is missing from one of them.

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
    from scipy import ndimage

    if labels.shape != volume.shape:
        raise GeometryError(f"Labels must have the volume's shape {volume.shape}; got {labels.shape}.")
    names = names or {}
    unit = "HU" if not volume.is_rgb and is_ct(volume) else ""
    ids = np.unique(labels)
    ids = ids[ids != 0]
    dense = np.searchsorted(ids, labels) + 1  # ids may be large, and find_objects counts from 1
    dense[labels == 0] = 0
    boxes = ndimage.find_objects(dense)
    return [
        _measure_one(int(label_id), names.get(int(label_id), f"object {label_id}"), dense[box] == n, box, volume, unit)
        for n, (label_id, box) in enumerate(zip(ids, boxes, strict=True), start=1)
    ]


def growth(before: Sequence[Measurement], after: Sequence[Measurement]) -> list[Growth]:
    """Compare two scans, object by object. Their grids may differ: each was measured on its own."""
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
    """Flatten measurements to rows for a table, with units in the column names."""
    rows = []
    for m in measurements:
        unit = f"_{m.intensity.unit.lower()}" if m.intensity.unit else ""
        row: dict[str, Any] = {"case": case} if case else {}
        row |= {"id": m.label_id, "name": m.name, "voxels": m.voxels, "volume_ml": m.volume_ml}
        row |= {"surface_mm2": m.surface_mm2, "long_axis_mm": m.long_axis_mm, "short_axis_mm": m.short_axis_mm}
        row |= {"axis_slice": m.axis_slice, "components": m.components, "touches_border": m.touches_border}
        for key, value in asdict(m.intensity).items():
            if key != "unit":
                row[f"intensity_{key}{unit}"] = value
        for axis, letter in enumerate("ijk"):
            row |= {f"{letter}_low": m.low[axis], f"{letter}_high": m.high[axis]}
        row |= {f"centroid_{letter}": m.centroid[axis] for axis, letter in enumerate("ijk")}
        row |= {f"centroid_{letter}_mm": m.centroid_mm[axis] for axis, letter in enumerate("xyz")}
        rows.append(row)
    return rows


def growth_rows(changes: Sequence[Growth]) -> list[dict[str, Any]]:
    """Flatten changes to rows for a table, with units in the column names."""
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
    from scipy import ndimage

    start = np.array([s.start for s in box])
    inside = np.argwhere(crop)
    centroid = inside.mean(axis=0) + start
    low, high = start, start + np.array(crop.shape) - 1
    long_axis, short_axis, axis_slice = recist_axes(crop, start, volume)
    edges = [n > 1 and (lo == 0 or hi == n - 1) for lo, hi, n in zip(low, high, volume.shape, strict=True)]
    return Measurement(
        label_id=label_id,
        name=name,
        voxels=len(inside),
        volume_ml=len(inside) * volume.voxel_volume_ml,
        surface_mm2=_surface(crop, volume),
        long_axis_mm=long_axis,
        short_axis_mm=short_axis,
        axis_slice=axis_slice,
        low=_ints(low),
        high=_ints(high),
        centroid=_floats(centroid),
        centroid_mm=_floats(volume.voxel_to_world(centroid)),
        components=int(ndimage.label(crop, structure=np.ones((3, 3, 3)))[1]),
        touches_border=bool(any(edges)),
        intensity=Intensity() if volume.is_rgb else replace(_intensity(volume.voxels[box][crop]), unit=unit),
    )


def _intensity(values: NDArray[Any]) -> Intensity:
    finite = values[np.isfinite(values)].astype(np.float64)
    if finite.size == 0:
        return Intensity()
    p5, median, p95 = (float(p) for p in np.percentile(finite, (5, 50, 95)))
    low, high = float(finite.min()), float(finite.max())
    return Intensity("", float(finite.mean()), float(finite.std()), low, p5, median, p95, high)


def _surface(crop: NDArray[np.bool_], volume: Volume) -> float:
    from skimage.measure import marching_cubes, mesh_surface_area

    vertices, faces, *_ = marching_cubes(np.pad(crop, 1).astype(np.float32), 0.5)
    return float(mesh_surface_area(vertices @ volume.affine[:3, :3].T, faces))


def _percent(before: float, after: float) -> float:
    return (after - before) / before * 100 if before else math.nan


def _ints(values: NDArray[Any]) -> tuple[int, int, int]:
    return int(values[0]), int(values[1]), int(values[2])


def _floats(values: NDArray[Any]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
