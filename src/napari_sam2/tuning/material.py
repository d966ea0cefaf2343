"""Finished scans as what a network trains on.

One volume for each scan, with its structures, and invented ones beside them so that the rest is not forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.core.window import is_ct
from napari_sam2.evaluation.cases import LUMA
from napari_sam2.training.pool import PoolObject, PoolVolume
from napari_sam2.training.shapes import make_slab
from napari_sam2.training.textures import Texture, stored_intensities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["MOST_VOXELS", "REHEARSED", "pool_volume", "rehearsal"]

SMALLEST_PART: Final = 30
"""Voxels of a connected part that can be learned from."""

MOST_PARTS: Final = 16
"""Parts of one structure that are learned from, the largest first."""

ISOTROPIC: Final = 1.7
"""Largest spacing over the smallest, up to which a scan is learned from along all its axes."""

MARGIN, MARGIN_SHARE, MARGIN_SLICES = 80, 1.5, 15
"""Pixels around all structures, or that part of their longer side, and slices before and after them."""

MOST_VOXELS: Final = 400_000_000
"""Voxels of all scans together: 800 MB, as they are kept in 16 bits."""

SMALLEST_SIDE: Final = 128
"""Pixels below which nothing is averaged."""

REHEARSED: Final = 48
"""Invented slabs that are rehearsed."""

SLAB: Final = (160, 14)
"""Rows and columns of a slab, and its slices."""

SLAB_SEED: Final = 20261122
"""Of the bundled network's own slabs."""


def pool_volume(
    name: str, volume: Volume, labels: NDArray[np.integer], ids: Iterable[int], most_voxels: int = MOST_VOXELS
) -> PoolVolume:
    """A scan with its structures, slices first, cropped to their surroundings.

    Parameters
    ----------
    name : str
        The case's.
    volume : Volume
        The scan.
    labels : (I, J, K) array of int
        On its grid.
    ids : iterable of int
        The structures to learn from.
    most_voxels : int
        What is kept of it; rows and columns are averaged in pairs until it fits.
    """
    axis = volume.default_slice_axis
    numbered = np.moveaxis(np.where(np.isin(labels, list(ids)), labels, 0), axis, 0)
    around = _surroundings(numbered)
    voxels = volume.voxels @ np.array(LUMA, np.float32) if volume.is_rgb else volume.voxels
    slices = np.ascontiguousarray(np.moveaxis(voxels, axis, 0)[around], np.float32)
    numbered = numbered[around]
    while slices.size > most_voxels and min(slices.shape[1:]) > SMALLEST_SIDE:
        rows, columns = (n // 2 * 2 for n in slices.shape[1:])
        slices, numbered = _halved(slices), numbered[:, :rows:2, :columns:2]
    isotropic = max(volume.spacing) / min(volume.spacing) < ISOTROPIC
    texture = Texture(name, "ct" if is_ct(volume) else "image", slices, isotropic)
    objects = [part for label_id in ids for part in _parts(numbered == label_id)]
    return PoolVolume(name, texture.kind, stored_intensities(texture), isotropic, objects)


def rehearsal(count: int = REHEARSED) -> list[PoolVolume]:
    """Invented slabs, always the same ones.

    As in the recipe of the bundled network.
    """
    return [make_slab(np.random.default_rng([SLAB_SEED, k]), *SLAB) for k in range(count)]


def _surroundings(numbered: NDArray[np.integer]) -> tuple[slice, slice, slice]:
    """The structures with as much around them as a clip may show."""
    spans = []
    for axis in range(3):
        held = np.flatnonzero(numbered.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((int(held[0]), int(held[-1]) + 1) if len(held) else (0, 1))
    sides = [stop - start for start, stop in spans]
    margins = (MARGIN_SLICES, *(max(MARGIN, round(MARGIN_SHARE * max(sides[1:]))),) * 2)
    cut = [slice(max(0, start - margin), stop + margin) for (start, stop), margin in zip(spans, margins, strict=True)]
    return cut[0], cut[1], cut[2]


def _halved(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows and columns averaged in pairs."""
    rows, columns = (n // 2 for n in slices.shape[1:])
    pairs = slices[:, : 2 * rows, : 2 * columns].reshape(len(slices), rows, 2, columns, 2)
    return np.asarray(pairs.mean((2, 4)), np.float32)


def _parts(mask: NDArray[np.bool_]) -> Iterator[PoolObject]:
    """The larger connected parts of a structure."""
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    for part in np.argsort(-sizes, kind="stable")[:MOST_PARTS]:
        if sizes[part] >= SMALLEST_PART:
            yield PoolObject.from_mask(parts == part + 1)
