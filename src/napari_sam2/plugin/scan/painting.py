"""Painting: strokes of napari's brush, eraser and bucket on the label layer become masks of their objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.labels import compose_slice
from napari_sam2.core.slice_masks import SliceMask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_sam2.plugin.background.worker import Mailbox
    from napari_sam2.plugin.scan.work import Annotation

__all__ = ["Painting"]


class Painting:
    """Listens to the label layer of an annotation.

    Parameters
    ----------
    annotation : Annotation
        Whose objects are painted.
    mailbox : Mailbox
        For looking at a stroke after it is in the array: napari tells of some before.
    """

    def __init__(self, annotation: Annotation, mailbox: Mailbox) -> None:
        self._annotation = annotation
        self._mailbox = mailbox
        annotation.result.layer.events.paint.connect(self._on_paint)

    def close(self) -> None:
        """Stop listening."""
        self._annotation.result.layer.events.paint.disconnect(self._on_paint)

    def _on_paint(self, event: Any) -> None:
        corners = [_corners(atom[0]) for atom in event.value]
        self._mailbox.put(lambda: self._look(corners))

    def _look(self, corners: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
        """Find what the array holds that the session does not, on the slices that were painted."""
        annotation = self._annotation
        if annotation.closed:
            return
        grid, axis = annotation.shown.grid, annotation.axis_on_view()
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
        annotation = self._annotation
        volume, snapshot = annotation.shown.volume, annotation.snapshot
        plane = volume.plane(axis)
        painted = plane.take(annotation.shown.grid.stored(annotation.result.layer.data), index)
        known = compose_slice(volume, [o.masks for o in snapshot.objects.values()], axis, index, snapshot.overlap)
        where = np.nonzero(painted != known)
        voxels = plane.to_voxel(np.stack(where, axis=-1), index).astype(int)
        found: dict[int, set[int]] = {}
        for values in (painted[where], known[where]):
            for object_id in np.unique(values[values > 0]).tolist():
                own = annotation.axis_of(object_id)
                found.setdefault(object_id, set()).update(np.unique(voxels[values == object_id, own]).tolist())
        return found

    def _take(self, object_id: int, indices: Iterable[int]) -> None:
        """Hand an object's slices, as they look now, to the session."""
        annotation = self._annotation
        axis = annotation.axis_of(object_id)
        plane = annotation.shown.volume.plane(axis)
        labels = annotation.shown.grid.stored(annotation.result.layer.data)
        masks = {index: SliceMask.of(plane.take(labels, index) == object_id) for index in indices}
        annotation.edit_masks(object_id, axis, masks)


def _corners(index: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last element that an index (slices, or arrays of numbers) reaches along each axis."""
    low = [part.start or 0 if isinstance(part, slice) else np.min(part) for part in index]
    high = [part.stop - 1 if isinstance(part, slice) else np.max(part) for part in index]
    return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
