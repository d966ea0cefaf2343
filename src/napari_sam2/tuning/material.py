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
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["REHEARSED", "pool_volume", "rehearsal"]

SMALLEST_PART: Final = 30
"""Voxels of a connected part that can be learned from."""

MOST_PARTS: Final = 16
"""Parts of one structure that are learned from, the largest first."""

ISOTROPIC: Final = 1.7
"""Largest spacing over the smallest, up to which a scan is learned from along all its axes."""

REHEARSED: Final = 48
"""Invented slabs that are rehearsed."""

SLAB: Final = (160, 14)
"""Rows and columns of a slab, and its slices."""

SLAB_SEED: Final = 20261122
"""Of the bundled network's own slabs."""


def pool_volume(name: str, volume: Volume, labels: NDArray[np.integer], ids: list[int]) -> PoolVolume:
    """A scan with its structures, slices first.

    Parameters
    ----------
    name : str
        The case's.
    volume : Volume
        The scan.
    labels : (I, J, K) array of int
        On its grid.
    ids : list of int
        The structures to learn from.
    """
    axis = volume.default_slice_axis
    voxels = volume.voxels @ np.array(LUMA, np.float32) if volume.is_rgb else volume.voxels
    slices = np.ascontiguousarray(np.moveaxis(voxels, axis, 0), np.float32)
    numbered = np.moveaxis(labels, axis, 0)
    isotropic = max(volume.spacing) / min(volume.spacing) < ISOTROPIC
    texture = Texture(name, "ct" if is_ct(volume) else "image", slices, isotropic)
    objects = [part for label_id in ids for part in _parts(numbered == label_id)]
    return PoolVolume(name, texture.kind, stored_intensities(texture), isotropic, objects)


def rehearsal(count: int = REHEARSED) -> list[PoolVolume]:
    """Invented slabs, always the same ones.

    As in the recipe of the bundled network.
    """
    return [make_slab(np.random.default_rng([SLAB_SEED, k]), *SLAB) for k in range(count)]


def _parts(mask: NDArray[np.bool_]) -> Iterator[PoolObject]:
    """The larger connected parts of a structure."""
    parts, count = ndimage.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    for part in np.argsort(-sizes, kind="stable")[:MOST_PARTS]:
        if sizes[part] >= SMALLEST_PART:
            yield PoolObject.from_mask(parts == part + 1)
