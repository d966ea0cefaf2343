"""Pointing: what a click, a box or a resting mouse on the canvas means for the current object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.prompts import Box
from napari_sam2.plugin.canvas.early_gestures import EarlyGestures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["Pointing"]


class Pointing(EarlyGestures):
    """The target of a `GestureTool`.

    Parameters
    ----------
    controller : Controller
        Knows the viewer, the image and the current object.
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__(lambda: controller.is_opening)
        self._controller = controller

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """Include or exclude a place of the current object."""
        annotation = self._controller.annotation
        if annotation is None:
            self._keep(lambda: self.click_at(world, positive=positive))
            return
        found = self._pointed_at(world)
        if found is None or not annotation.shown.grid.contains(found[0]):
            return
        voxel, axis = found
        self._controller.hover.clear()
        annotation.begin_on(self._controller.current_object, axis)
        annotation.prompts.add_click(voxel.tolist(), positive, self._controller.current_object)

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Put a box around the current object."""
        annotation = self._controller.annotation
        if annotation is None:
            self._keep(lambda: self.box_between(start, end))
            return
        annotation.prompts.hide_rubber_band()
        first, last = self._pointed_at(start), self._pointed_at(end)
        box = None if first is None or last is None else self._box(first[0], last[0], first[1])
        if box is not None:
            annotation.prompts.add_box(box, self._controller.current_object)

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """Show the box that is being drawn."""
        annotation = self._controller.annotation
        if annotation is None:
            return
        first = self._pointed_at(start)
        last = None if end is None else self._pointed_at(end)
        if first is None or last is None:
            annotation.prompts.hide_rubber_band()
        else:
            annotation.prompts.show_rubber_band(first[0], last[0], first[1])

    def hover_at(self, world: Sequence[float]) -> None:
        """Preview what a click here would give."""
        annotation = self._controller.annotation
        if annotation is None or not self._controller.hover.enabled:
            return
        found = self._pointed_at(world)
        if found is not None and annotation.shown.grid.contains(found[0]):
            self._controller.hover.ask(*found)

    def _pointed_at(self, world: Sequence[float]) -> tuple[NDArray[np.float64], int] | None:
        """Voxel coordinates of a place on the slice that is shown, and the slice axis."""
        annotation = self._controller.annotation
        if annotation is None:
            return None
        grid, image = annotation.shown.grid, annotation.image
        on_view = grid.slice_on_view(image, self._controller.viewer.dims)
        if on_view is None:
            return None
        voxel = grid.world_to_voxel(image, world)
        voxel[on_view[0]] = on_view[1]
        return voxel, on_view[0]

    def _box(self, first: NDArray[np.float64], last: NDArray[np.float64], axis: int) -> Box | None:
        """The box over the voxels under both corners; None when it is too thin to be meant."""
        annotation = self._controller.annotation
        if annotation is None:
            return None
        top = np.array(annotation.shown.volume.shape) - 1
        a, b = (np.clip(np.floor(v + 0.5), 0, top).astype(int) for v in (first, last))
        b[axis] = a[axis]
        if np.count_nonzero(a != b) < 2:
            return None
        return Box((_triple(a), _triple(b)))


def _triple(voxel: NDArray[Any]) -> tuple[int, int, int]:
    return int(voxel[0]), int(voxel[1]), int(voxel[2])
