"""A structure of a finished scan laid over a new one.

The scans are registered once more around the structure, and its mask is carried over.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
import SimpleITK
from SimpleITK import AffineTransform, Image

from napari_sam2.registration import LOCAL_VOXELS, as_image, copy_of, inverse_of, refine, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.finding.exemplars import Loaded
    from napari_sam2.registration import Block

__all__ = ["Laid", "lay", "union_of"]

MARGIN: Final = 0.25
LEAST_MARGIN_MM: Final = 8.0
"""How far around a structure registration looks: a part of its largest extent, and at least so much."""

BESIDE: Final = 0.25
"""How far a structure is moved to see whether its place stands out, as a part of its extent."""


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """One exemplar's structure on the grid of the new scan.

    Attributes
    ----------
    block : tuple of slice
        The part of the new scan that is looked at.
    cover : float array of the block's shape
        How much of each voxel it covers.
    fit : float
        How much the two scans say of each other around it.
    distinct : float
        How much less they would say if it were laid a little beside: 0 as much, 1 nothing.
    inside : float
        Which part of it lies inside the scan.
    transform : AffineTransform
        From places of the new scan to those of the exemplar.
    """

    block: Block
    cover: NDArray[np.float32]
    fit: float
    distinct: float
    inside: float
    transform: AffineTransform

    def cover_in(self, block: Block) -> NDArray[np.float32]:
        """Its cover in a block that holds its own."""
        cover = np.zeros([part.stop - part.start for part in block], np.float32)
        i, j, k = (
            slice(own.start - part.start, own.stop - part.start) for own, part in zip(self.block, block, strict=True)
        )
        cover[i, j, k] = self.cover
        return cover


def lay(volume: Volume, window: Window, loaded: Loaded, ids: Sequence[int], transform: AffineTransform) -> Laid | None:
    """Lay an exemplar's structure over a scan, registered anew around it.

    Parameters
    ----------
    volume, window
        The new scan, and how its intensities are seen.
    loaded : Loaded
        The exemplar.
    ids : sequence of int
        The labels that make up the structure.
    transform : AffineTransform
        From places of the new scan to those of the exemplar, as whole scans fit.

    Returns
    -------
    Laid or None
        None where the structure lies outside of the scan.
    """
    tight = union_of([loaded.blocks[i] for i in ids])
    size = max((part.stop - part.start) * mm for part, mm in zip(tight, loaded.volume.spacing, strict=True))
    margin = max(LEAST_MARGIN_MM, MARGIN * size)
    own = _block_around(np.array([[p.start for p in tight], [p.stop - 1 for p in tight]]), loaded.volume, margin)
    there = _carried(own, loaded.volume, volume, transform, margin)
    if there is None:
        return None
    exemplar = copy_of(loaded.volume, loaded.window, LOCAL_VOXELS, own)
    scan = copy_of(volume, window, 4 * LOCAL_VOXELS, there)
    better = refine(transform, scan, exemplar)
    into = _carried(own, loaded.volume, volume, better, 0.0)
    if into is None:
        return None
    mask = np.isin(loaded.labels[own], ids).astype(np.float32)
    structure = as_image(mask, _moved(loaded.volume, own))
    grid = as_image(np.zeros([part.stop - part.start for part in into], np.float32), _moved(volume, into))
    cover = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(structure, grid, better, SimpleITK.sitkLinear, 0.0)
    ).transpose(2, 1, 0)
    if not cover.size or cover.max() <= 0.5:
        return None
    expected = mask.sum() * loaded.volume.voxel_volume_ml / abs(np.linalg.det(np.reshape(better.GetMatrix(), (3, 3))))
    inside = min(1.0, float(cover.sum()) * volume.voxel_volume_ml / float(expected))
    fit, beside = said(scan, exemplar, better), _said_beside(scan, exemplar, better, loaded.volume, tight)
    return Laid(into, cover, fit, max(0.0, 1 - beside / fit) if fit > 0 else 0.0, inside, better)


def _said_beside(scan: Image, exemplar: Image, transform: AffineTransform, volume: Volume, block: Block) -> float:
    """What two copies say of each other, on average, when they are laid beside where they fit best.

    A right place is one that stands out. Two scans of different things are laid somewhere, too, but a step to the side
    is hardly worse there.
    """
    found = []
    for axis, part in enumerate(block):
        step = BESIDE * (part.stop - part.start) * volume.affine[:3, axis]
        for away in (step, -step):
            moved = AffineTransform(transform)
            moved.SetTranslation((np.array(transform.GetTranslation()) + away).tolist())
            found.append(said(scan, exemplar, moved))
    return float(np.mean(found))


def union_of(blocks: Sequence[Block]) -> Block:
    """The smallest block that holds all of them."""
    i, j, k = (slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*blocks, strict=True))
    return i, j, k


def _block_around(places: NDArray[np.floating] | NDArray[np.integer], volume: Volume, margin: float) -> Block:
    """The voxels within `margin` mm of the box of places (N, 3)."""
    more = np.ceil(margin / np.array(volume.spacing)).astype(int)
    low = np.maximum(np.floor(places.min(axis=0)).astype(int) - more, 0)
    high = np.minimum(np.ceil(places.max(axis=0)).astype(int) + more + 1, volume.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def _carried(block: Block, exemplar: Volume, scan: Volume, transform: AffineTransform, margin: float) -> Block | None:
    """The block of the scan that a block of an exemplar is carried into; None when it lies outside of the scan."""
    corners = exemplar.voxel_to_world(list(product(*((part.start, part.stop - 1) for part in block))))
    back = inverse_of(transform)
    world = np.array([back.TransformPoint(corner.tolist()) for corner in corners])
    found = _block_around(scan.world_to_voxel(world), scan, margin)
    return found if all(part.stop - part.start >= 2 for part in found) else None


def _moved(volume: Volume, block: Block) -> NDArray[np.float64]:
    """The affine of a block of a volume."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.voxel_to_world([part.start for part in block])
    return affine
