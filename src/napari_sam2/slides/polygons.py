"""Masks as polygons with holes, and back.

Polygons live in level-0 pixel *corners*, (x, y) = (column, row): pixel (0, 0) covers 0 to 1, which is what
QuPath means by its coordinates. A prompt at the centre of that pixel is at (0.5, 0.5) here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SIMPLIFY", "areas_of", "mask_to_polygon", "polygon_to_mask", "simplified"]

SIMPLIFY: Final = 0.75
"""Pixels of the mask that an outline may move when its staircase is straightened: it takes two thirds of
the points away and changes the area by less than a thousandth."""


def mask_to_polygon(
    mask: NDArray[np.bool_], row: float = 0.0, col: float = 0.0, scale: float = 1.0, tolerance: float = SIMPLIFY
) -> Any:
    """Outline a mask.

    Parameters
    ----------
    mask : (rows, columns) bool array
        The object.
    row, col : float
        Top left corner of the mask in level-0 pixels.
    scale : float
        Level-0 pixels along one pixel of the mask.
    tolerance : float
        Pixels of the mask that the outline may move; 0 keeps the pixels' own edges, so that the area is
        exactly that of the pixels.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        Valid, with holes; empty for an empty mask. Pixels that touch at a corner only are apart.
    """
    import shapely

    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    if rows.size == 0:
        return shapely.Polygon()
    outline = shapely.union_all(shapely.box(starts, rows, stops, rows + 1))
    if tolerance > 0:
        outline = simplified(outline, tolerance)
    return shapely.transform(outline, lambda xy: xy * scale + (col, row))


def simplified(outline: Any, tolerance: float) -> Any:
    """Straighten outlines by at most `tolerance`.

    Holes, validity and parts stay as they are.
    """
    import shapely

    simple = shapely.simplify(outline, tolerance, preserve_topology=True)
    # GEOS guards each ring, not one part against another: two parts may come to overlap.
    return simple if simple.is_valid else outline


def polygon_to_mask(
    polygon: Any, row: float, col: float, shape: tuple[int, int], scale: float = 1.0
) -> NDArray[np.bool_]:
    """Rasterise a polygon: a pixel belongs to it when its centre does.

    Parameters
    ----------
    polygon : shapely geometry
        Of polygons; what else a collection holds covers no pixel.
    row, col : float
        Top left corner of the mask in level-0 pixels.
    shape : tuple of int
        (rows, columns) of the mask.
    scale : float
        Level-0 pixels along one pixel of the mask.

    Returns
    -------
    (rows, columns) bool array
        By the even-odd rule, which is exact for valid polygons with holes.
    """
    rings = [(xy - (col, row)) / scale - 0.5 for xy in _rings(polygon)]
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=np.int32)
    for ring in rings:
        _count_crossings(ring, crossings)
    return np.asarray(np.cumsum(crossings[:, :-1], axis=1) % 2 == 1)


def areas_of(geometry: Any) -> Any:
    """The polygons of a geometry with an area.

    As one Polygon or MultiPolygon; empty when there are none.
    """
    import shapely

    parts = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if p.geom_type == "Polygon" and p.area > 0]
    if len(parts) == 1:
        return parts[0]
    return shapely.MultiPolygon(parts) if parts else shapely.Polygon()


def _rings(polygon: Any) -> Sequence[NDArray[np.float64]]:
    """Coordinates (N, 2) of every closed ring."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(polygon))
    areas = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return [shapely.get_coordinates(ring) for ring in shapely.get_rings(areas)]


def _count_crossings(ring: NDArray[np.float64], crossings: NDArray[np.int32]) -> None:
    """Add to each row, at the first pixel centre right of it, every crossing of the ring with the row's centre line."""
    rows, cols = crossings.shape[0], crossings.shape[1] - 1
    x0, y0, x1, y1 = *ring[:-1].T, *ring[1:].T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    # Half-open: a vertex that lies on a centre line counts for one of its two edges.
    first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(high), 0, rows).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    at = x0[edge] + (row - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    np.add.at(crossings, (row, np.clip(np.ceil(at), 0, cols).astype(np.int64)), 1)
