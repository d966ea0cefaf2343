"""Left and right of a body, by world coordinates.

A detector does not know sides: it sees pictures, in which either may be on either hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.volume import closest_axes
from napari_sam2.errors import UserInputError
from napari_sam2.terms.naming import LEFT, NO_SIDE, RIGHT, meaning_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = ["BODY", "check_sides", "side_of"]

BODY: Final = 0.1
"""Above this part of the window a voxel belongs to the body; below it is air or the scan's edge."""

CUT: Final = 0.1
"""A body whose section at the edge of a scan is larger, as a part of its largest one, goes on beyond it."""

TRIMMED: Final = 1.0
"""Percent of the body's voxels at either end that do not count: hands, tables, noise."""

NEAR: Final = 0.05
"""A place so near to the middle, as a part of the body's width, has no side."""


def check_sides(volume: Volume, names: Sequence[str]) -> None:
    """Refuse names with a side where no side can be told.

    A scan that does not say how it lies shows none.

    Raises
    ------
    UserInputError
        Naming the first of them.
    """
    sided = [asked for asked in names if meaning_of(asked).side]
    if sided and not volume.oriented:
        raise UserInputError(
            f"{volume.source.name} does not say where left and right are, so {sided[0]!r} cannot be told from the "
            "other side; point at it with a box or clicks."
        )


def side_of(volume: Volume, window: Window, low: Sequence[int], high: Sequence[int]) -> str:
    """The patient's side that a box lies on.

    Compared is the world's x of its centre with the middle of the body at the same height.

    Parameters
    ----------
    volume, window
        The scan, and how its intensities are seen.
    low, high : (i, j, k)
        First and last voxel of the box.

    Returns
    -------
    str
        ``"left"``, ``"right"``, or ``""`` where it cannot be told: the scan does not say how it lies, shows only a part
        of the body's width, or the box lies in the middle.
    """
    if not volume.oriented:
        return NO_SIDE
    followed = closest_axes(volume.affine)[0]
    across, up = followed.index(0), followed.index(2)
    slab = [slice(None)] * 3
    slab[up] = slice(low[up], high[up] + 1)
    body = window.apply(volume.voxels[tuple(slab)]) > BODY
    if not body.any() or _is_cut(body, across):
        return NO_SIDE
    places = np.argwhere(body).astype(float)
    places[:, up] += low[up]
    first, last = np.percentile(volume.voxel_to_world(places)[:, 0], (TRIMMED, 100 - TRIMMED))
    centre = float(volume.voxel_to_world(np.mean([low, high], axis=0))[0])
    away = centre - (first + last) / 2
    if abs(away) < NEAR * (last - first):
        return NO_SIDE
    return LEFT if away < 0 else RIGHT  # RAS+: x grows to the patient's right


def _is_cut(body: NDArray[np.bool_], across: int) -> bool:
    """Whether the body goes on beyond the scan, to its left or right."""
    areas = body.sum(axis=tuple(a for a in range(3) if a != across))
    return bool(max(areas[0], areas[-1]) > CUT * areas.max())
