"""Pieces of objects, found tile by tile, as whole objects.

No seams, no duplicates, flat memory.

Two pieces of neighbouring tiles are the same object when they agree in the strip that both tiles show. Pieces
that belong together are united when one of them was cut off by its tile; otherwise each of them is the whole
object, and the best one is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.slides.polygons import SIMPLIFY, mask_to_polygon, simplified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.slides.automatic.tiles import Tile
    from napari_sam2.slides.objects import SlideObject

__all__ = ["MergedObject", "Piece", "merge_pieces", "new_ones", "same_object"]

SAME_IOU: Final = 0.5
SAME_IOMIN: Final = 0.7
"""Two masks are one object when they share half of their union, or most of the smaller one (as in QuPath)."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What one tile shows of an object.

    Attributes
    ----------
    mask : SliceMask
        In the slide's pixels of the plan's scale, inside the tile's trusted part.
    score : float
        The model's estimate of the mask's IoU.
    is_cut : bool
        Whether it reaches the border of the trusted part, and that is not the border of the slide.
    """

    mask: SliceMask
    score: float
    is_cut: bool


@dataclass(frozen=True, slots=True, eq=False)
class MergedObject:
    """A whole object.

    Attributes
    ----------
    geometry : shapely geometry
        In level-0 pixel corners.
    score : float
        The best piece's, or the pieces' mean by area when they were united.
    """

    geometry: Any
    score: float


class _Group:
    """Pieces of one object, and the last row of tiles that added to it."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.last_row = -1


def merge_pieces(tiles: Iterable[tuple[Tile, list[Piece]]], scale: int) -> Iterator[MergedObject]:
    """Join the pieces of tiles into objects.

    Parameters
    ----------
    tiles : iterable of (Tile, list of Piece)
        Row by row, and in each row from left to right.
    scale : int
        Level-0 pixels along one pixel of the pieces' masks.

    Yields
    ------
    MergedObject
        As soon as no later tile can add to it; no more than two rows of tiles are held.
    """
    groups: dict[int, _Group] = {}
    near: dict[tuple[int, int], tuple[Tile, list[tuple[Piece, int]]]] = {}
    current_row, next_number = -1, 0
    for tile, pieces in tiles:
        if tile.row != current_row:
            current_row = tile.row
            for number in [n for n, group in groups.items() if group.last_row < current_row - 1]:
                yield _joined(groups.pop(number).pieces, scale)
            near = {place: held for place, held in near.items() if place[0] == current_row - 1}
        placed: list[tuple[Piece, int]] = []
        for piece in pieces:
            linked = sorted(set(_linked(tile, piece, near)))
            if linked:
                number = linked[0]
                _unite(groups, near, placed, linked)
            else:
                number, next_number = next_number, next_number + 1
                groups[number] = _Group()
            groups[number].pieces.append(piece)
            groups[number].last_row = current_row
            placed.append((piece, number))
        near[tile.row, tile.col] = (tile, placed)
    for group in groups.values():
        yield _joined(group.pieces, scale)


def same_object(a: SliceMask, b: SliceMask, shared: tuple[int, int, int, int]) -> bool:
    """Whether two masks agree where both could be filled.

    Inside the edges row0, column0, row1, column1.
    """
    both_at = _meet(_meet(_edges(a), _edges(b)), shared)
    if both_at is None:
        return False
    both = int((_part(a, both_at) & _part(b, both_at)).sum())
    count_a, count_b = (int(_part(m, _meet(_edges(m), shared)).sum()) for m in (a, b))
    return both > 0 and (both >= SAME_IOU * (count_a + count_b - both) or both >= SAME_IOMIN * min(count_a, count_b))


def new_ones(found: Sequence[SlideObject], known: Sequence[SlideObject]) -> list[SlideObject]:
    """Those of `found` that are not among `known` already.

    Two are the same when they share half of their union, on one plane; nuclei inside an outlined gland are new.
    """
    import shapely

    planes = {obj.plane for obj in found}
    there = [obj.geometry for obj in known if obj.plane in planes and not obj.geometry.is_empty]
    if not there:
        return list(found)
    shapes = [obj.geometry for obj in found]
    ours, theirs = shapely.STRtree(there).query(shapes, predicate="intersects")
    first, second = np.array(shapes, dtype=object)[ours], np.array(there, dtype=object)[theirs]
    # An outline drawn by hand may cross itself.
    both = shapely.area(shapely.intersection(shapely.make_valid(first), shapely.make_valid(second)))
    same = both >= SAME_IOU * (shapely.area(first) + shapely.area(second) - both)
    taken = set(ours[same].tolist())
    return [obj for number, obj in enumerate(found) if number not in taken]


def _linked(
    tile: Tile, piece: Piece, near: dict[tuple[int, int], tuple[Tile, list[tuple[Piece, int]]]]
) -> Iterator[int]:
    for place in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
        held = near.get((tile.row + place[0], tile.col + place[1]))
        if held is None:
            continue
        other, pieces = held
        shared = _meet(tile.trusted, other.trusted)
        if shared is not None:
            yield from (number for candidate, number in pieces if same_object(candidate.mask, piece.mask, shared))


def _unite(
    groups: dict[int, _Group],
    near: dict[tuple[int, int], tuple[Tile, list[tuple[Piece, int]]]],
    placed: list[tuple[Piece, int]],
    numbers: list[int],
) -> None:
    """Make all of `numbers` the first of them."""
    kept, *others = numbers
    for number in others:
        groups[kept].pieces += groups.pop(number).pieces
    for _, pieces in [*near.values(), (None, placed)]:
        pieces[:] = [(piece, kept if number in others else number) for piece, number in pieces]


def _joined(pieces: list[Piece], scale: int) -> MergedObject:
    import shapely

    if not any(piece.is_cut for piece in pieces):
        best = max(pieces, key=lambda piece: (piece.score, piece.mask.n_voxels))
        return MergedObject(_outline(best, scale, SIMPLIFY), best.score)
    areas = np.array([piece.mask.n_voxels for piece in pieces], dtype=float)
    score = float(np.average([piece.score for piece in pieces], weights=areas))
    # Outlines are simplified after the union, which is then exact: all lie on the same grid of pixels.
    union = shapely.union_all([_outline(piece, scale, 0.0) for piece in pieces])
    return MergedObject(simplified(union, SIMPLIFY * scale), score)


def _outline(piece: Piece, scale: int, tolerance: float) -> Any:
    mask = piece.mask
    return mask_to_polygon(mask.crop, mask.row * scale, mask.col * scale, scale, tolerance)


def _edges(mask: SliceMask) -> tuple[int, int, int, int]:
    height, width = mask.shape
    return mask.row, mask.col, mask.row + height, mask.col + width


def _meet(a: tuple[int, int, int, int] | None, b: tuple[int, int, int, int] | None) -> tuple[int, int, int, int] | None:
    if a is None or b is None:
        return None
    row0, col0, row1, col1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (row0, col0, row1, col1) if row1 > row0 and col1 > col0 else None


def _part(mask: SliceMask, edges: tuple[int, int, int, int] | None) -> NDArray[np.bool_]:
    """The mask inside `edges`, which lie inside its own."""
    if edges is None:
        return np.zeros((0, 0), dtype=bool)
    row0, col0, row1, col1 = edges
    return mask.crop[row0 - mask.row : row1 - mask.row, col0 - mask.col : col1 - mask.col]
