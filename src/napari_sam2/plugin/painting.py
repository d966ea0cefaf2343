"""Painting: strokes of napari's brush on the label layer become masks of their objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.results import SliceMask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam2.plugin.annotation import Annotation

__all__ = ["Painting"]


class Painting:
    """Listens to the label layer of an annotation.

    Parameters
    ----------
    annotation : Annotation
        Whose objects are painted.
    """

    def __init__(self, annotation: Annotation) -> None:
        self._annotation = annotation
        annotation.result.layer.events.paint.connect(self._on_paint)

    def close(self) -> None:
        """Stop listening."""
        self._annotation.result.layer.events.paint.disconnect(self._on_paint)

    def _on_paint(self, event: Any) -> None:
        annotation = self._annotation
        grid = annotation.shown.grid
        touched: dict[int, set[int]] = {}
        view_axis = annotation.axis_on_view()
        for indices, old, new in event.value:
            voxels = grid.to_voxel(np.stack(indices, axis=-1)).astype(int)
            for object_id in _ids(old) | _ids(new):
                obj = annotation.object(object_id)
                axis = obj.axis if obj.slices or obj.prompts else view_axis
                touched.setdefault(object_id, set()).update(np.unique(voxels[:, axis]).tolist())
        for object_id in sorted(touched):
            self._take(object_id, sorted(touched[object_id]), view_axis)

    def _take(self, object_id: int, indices: Iterable[int], view_axis: int) -> None:
        """Hand an object's slices, as they look now, to the session."""
        annotation = self._annotation
        obj = annotation.object(object_id)
        axis = obj.axis if obj.slices or obj.prompts else view_axis
        plane = annotation.shown.volume.plane(axis)
        labels = annotation.shown.grid.stored(annotation.result.layer.data)
        masks = {index: SliceMask.of(plane.take(labels, index) == object_id) for index in indices}
        annotation.edit_masks(object_id, axis, masks)


def _ids(values: Any) -> set[int]:
    """Object ids among label values; background is none."""
    return {int(value) for value in np.unique(np.asarray(values)) if value}
