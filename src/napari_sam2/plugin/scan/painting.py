"""Brush strokes as masks.

What is painted on the label layer with napari's tools becomes masks of its objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.labels import compose_slice
from napari_sam2.core.slice_masks import SliceMask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_sam2.plugin.background.worker import MainThreadQueue
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["Painting"]


class Painting:
    """Listens to the label layer of a scan.

    Parameters
    ----------
    work : ScanWork
        Whose objects are painted.
    queue : MainThreadQueue
        For looking at a stroke after it is in the array: napari tells of some before.
    """

    def __init__(self, work: ScanWork, queue: MainThreadQueue) -> None:
        self._work = work
        self._queue = queue
        work.result.layer.events.paint.connect(self._on_paint)

    def close(self) -> None:
        """Stop listening."""
        self._work.result.layer.events.paint.disconnect(self._on_paint)

    def _on_paint(self, event: Any) -> None:
        corners = [_corners(atom[0]) for atom in event.value]
        self._queue.put(lambda: self._look(corners))

    def _look(self, corners: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
        """Find what the array holds that the session does not, on the slices that were painted."""
        work = self._work
        if work.closed:
            return
        grid, axis = work.shown.grid, work.view.axis()
        slices: set[int] = set()
        for low, high in corners:
            voxels = grid.to_voxel(np.stack([low, high]))[:, axis].astype(int)
            slices.update(range(voxels.min(), voxels.max() + 1))
        touched: dict[int, set[int]] = {}
        for index in slices:
            for object_id, indices in self._differing(axis, index).items():
                touched.setdefault(object_id, set()).update(indices)
        for object_id in sorted(touched):
            self._take(object_id, sorted(touched[object_id]))

    def _differing(self, axis: int, index: int) -> dict[int, set[int]]:
        """Objects whose voxels differ on a slice, with the slices of their own axis that are concerned."""
        work = self._work
        volume, snapshot = work.shown.volume, work.snapshot
        plane = volume.plane(axis)
        painted = plane.take(work.shown.grid.stored(work.result.layer.data), index)
        composed = compose_slice(volume, [o.masks for o in snapshot.objects.values()], axis, index, snapshot.overlap)
        where = np.nonzero(painted != composed)
        voxels = plane.to_voxel(np.stack(where, axis=-1), index).astype(int)
        touched: dict[int, set[int]] = {}
        for values in (painted[where], composed[where]):
            for object_id in np.unique(values[values > 0]).tolist():
                own = work.axis_of(object_id)
                touched.setdefault(object_id, set()).update(np.unique(voxels[values == object_id, own]).tolist())
        return touched

    def _take(self, object_id: int, indices: Iterable[int]) -> None:
        """Hand an object's slices, as they look now, to the session."""
        work = self._work
        axis = work.axis_of(object_id)
        plane = work.shown.volume.plane(axis)
        labels = work.shown.grid.stored(work.result.layer.data)
        masks = {index: SliceMask.of(plane.take(labels, index) == object_id) for index in indices}
        work.edit_masks(object_id, axis, masks)


def _corners(index: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last element that an index (slices, or arrays of numbers) reaches along each axis."""
    low = [part.start or 0 if isinstance(part, slice) else np.min(part) for part in index]
    high = [part.stop - 1 if isinstance(part, slice) else np.max(part) for part in index]
    return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
