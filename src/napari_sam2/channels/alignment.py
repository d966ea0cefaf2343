"""Whether two scans of one body lie on each other.

And how to lay them so.

Rigidly only: the same body moved between two scans is turned and shifted; anything softer would make up anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.channels.placing import moved_mm
from napari_sam2.core.window import choose_window
from napari_sam2.errors import GeometryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["Alignment", "checked_alignment", "rigid_transform"]

FINE_VOXELS: Final = 500_000
"""Voxels of the copies on which a registration ends: about 2 mm in a head."""

CHECK_VOXELS: Final = 80_000
"""The same for the check alone, which every pair pays."""

LEAST_OFF: Final = 2.5
"""Millimetres that a check must find before it warns; below lie its own error and unlike borders."""

LEAST_MORE: Final = 1.02
"""How much more the scans must say of each other after that move: a drift between scans that share little says
nothing."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """What a check says of two scans.

    Attributes
    ----------
    off_mm : float
        How far the middle of one lies from where it fits the other.
    is_off : bool
        Whether that is to be trusted and told.
    """

    off_mm: float
    is_off: bool


def rigid_transform(reference: Volume, other: Volume, name: str) -> NDArray[np.float64]:
    """The rigid transform from a reference to another scan, in world places.

    Mutual information of Mattes et al.; centre first, then shifts, then turns. The same on every run.

    Parameters
    ----------
    reference, other : Volume
        Scans of one body.
    name : str
        What the other one is called.

    Returns
    -------
    (4, 4) array
        RAS+ mm.

    Raises
    ------
    GeometryError
        If they cannot be laid on each other.
    """
    from napari_sam2.registration import COARSE_VOXELS, copy_of, matrix_of, refine_rigid, register_rigid

    windows = choose_window(reference), choose_window(other)
    coarse = [copy_of(v, w, COARSE_VOXELS) for v, w in zip((reference, other), windows, strict=True)]
    found = register_rigid(*coarse)
    if found is not None:
        fine = [copy_of(v, w, FINE_VOXELS) for v, w in zip((reference, other), windows, strict=True)]
        found = refine_rigid(found, *fine)
    if found is None:
        raise GeometryError(
            f"{name}: it cannot be laid on {reference.source.public_name}; give a scan of the same part of the body."
        )
    # Few digits, so that what is written is what is used.
    return np.round(matrix_of(found), 8)


def checked_alignment(reference: Volume, other: Volume) -> Alignment:
    """How far two scans of one place lie apart.

    A rigid registration that begins where the headers put them, on small copies.
    """
    from SimpleITK import AffineTransform

    from napari_sam2.registration import copy_of, matrix_of, refine_rigid, said

    one, two = (copy_of(v, choose_window(v), CHECK_VOXELS) for v in (reference, other))
    start = AffineTransform(3)
    found = refine_rigid(start, one, two)
    if found is None:
        return Alignment(0.0, is_off=False)
    off = moved_mm(reference, matrix_of(found))
    before, after = said(one, two, start), said(one, two, found)
    return Alignment(off, is_off=off > LEAST_OFF and after > LEAST_MORE * before)
