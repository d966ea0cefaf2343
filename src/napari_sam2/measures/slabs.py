"""Figures about one large mask, slab by slab.

Memory stays near that of the mask itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["centre_of", "count_components", "surface_area"]

SLAB_VOXELS: Final = 1 << 22
"""Voxels that are looked at together: some 60 MiB of mesh and labels."""


def centre_of(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64]]:
    """Number and mean place of a mask's voxels.

    The mask is (A, B, C), the place in voxels.
    """
    counts = [np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    total = int(counts[0].sum())
    return total, np.array([float(np.arange(len(n)) @ n) / total for n in counts])


def count_components(mask: NDArray[np.bool_]) -> int:
    """Number of pieces of a mask (A, B, C).

    Pieces do not touch, not even by a corner.
    """
    from scipy import ndimage, sparse
    from scipy.sparse.csgraph import connected_components

    structure = np.ones((3, 3, 3))
    total, pairs = 0, []
    edge: NDArray[Any] | None = None
    for start, stop in _slabs(mask.shape):
        # One plane is labelled in both slabs: its labels say which pieces are the same.
        labels, count = ndimage.label(mask[max(start - 1, 0) : stop], structure=structure)
        if edge is not None:
            shared = labels[0] > 0
            pairs.append(np.unique(np.stack([edge[shared], labels[0][shared] + total]), axis=1))
        edge = labels[-1] + total * (labels[-1] > 0)
        total += count
    if not pairs or total == 0:
        return total
    one, other = np.concatenate(pairs, axis=1) - 1
    graph = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(total, total))
    return int(connected_components(graph, directed=False)[0])


def surface_area(mask: NDArray[np.bool_], steps: NDArray[np.float64]) -> float:
    """Area of the marching-cubes mesh of a mask (A, B, C).

    Column v of `steps` (3, 3) is one voxel along axis v, mm.
    """
    from skimage.measure import marching_cubes, mesh_surface_area

    area = 0.0
    for start, stop in _slabs((mask.shape[0] + 1, *mask.shape[1:])):
        # A cube lies between two planes, so slabs of the padded mask share one.
        slab = np.pad(mask[max(start - 1, 0) : stop], ((int(start == 0), int(stop > mask.shape[0])), (1, 1), (1, 1)))
        if slab.any() and not slab.all():
            vertices, faces, *_ = marching_cubes(slab.astype(np.float32), 0.5)
            area += float(mesh_surface_area(vertices @ steps.T, faces))
    return area


def _slabs(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    thick = max(1, SLAB_VOXELS // max(1, shape[1] * shape[2]))
    for start in range(0, shape[0], thick):
        yield start, min(start + thick, shape[0])
