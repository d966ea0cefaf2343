"""Hover preview: the mask that a click here would give, shown faintly and dropped when it is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from napari_sam2.core.prompts import Point, SlicePrompts
from napari_sam2.plugin.scan.prompt_layers import layer_placement
from napari_sam2.plugin.scan.result_layer import HOVER_COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.scan.work import Annotation
    from napari_sam2.session.session import Session

__all__ = ["HoverPreview"]


class HoverPreview:
    """Asks for a preview under the mouse while it is switched on.

    Parameters
    ----------
    controller : Controller
        Knows the image and whether a run goes on: then no preview is asked for.
    viewer : ViewerModel
        Where the preview layer is.
    """

    def __init__(self, controller: Controller, viewer: ViewerModel) -> None:
        self._controller = controller
        self._viewer = ref(viewer)
        self._layer: Labels | None = None
        self._generation = 0
        self.enabled = False
        self.n_shown = 0

    def toggle(self) -> None:
        """Switch the preview on or off."""
        self.enabled = not self.enabled
        self._controller.say(f"Hover preview is {'on' if self.enabled else 'off'}.")
        if not self.enabled:
            self.clear()

    def ask(self, voxel: NDArray[np.float64], axis: int) -> None:
        """Ask what a click on a voxel would give; an older question that has not begun is replaced."""
        annotation = self._controller.annotation
        if not self.enabled or annotation is None or self._controller.propagation.running:
            return
        self._generation += 1
        generation, index = self._generation, int(voxel[axis])
        object_id = self._controller.current_object

        def work(session: Session) -> SliceMask | None:
            return preview(session, object_id, voxel.tolist(), axis, index)

        def done(mask: SliceMask | None) -> None:
            # A newer place was pointed at, or another slice is shown: this answer is stale.
            on_view = self._controller.reviewing.slice_on_view()
            if generation == self._generation and self.enabled and on_view == (axis, index):
                self._show(annotation, mask, axis, index)

        annotation.ask_quietly(work, done, key="hover")

    def clear(self) -> None:
        """Take the preview away, and drop answers on their way."""
        self._generation += 1
        viewer, layer = self._viewer(), self._layer
        self._layer = None
        if viewer is not None and layer is not None and layer in viewer.layers:
            viewer.layers.remove(layer)

    def _show(self, annotation: Annotation, mask: SliceMask | None, axis: int, index: int) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        volume, grid = annotation.shown.volume, annotation.shown.grid
        plane = volume.plane(axis)
        thin: Any = np.zeros([1 if a == axis else n for a, n in enumerate(volume.shape)], dtype=np.uint8)
        if mask is not None:
            plane.take(thin, 0)[...] = mask.full(plane.shape)
        array = grid.shown(thin)
        if self._layer is None or self._layer not in viewer.layers or self._layer.data.shape != array.shape:
            self.clear()
            self._generation -= 1
            active = viewer.layers.selection.active
            self._layer = viewer.add_labels(
                array,
                name="preview",
                opacity=0.35,
                colormap=HOVER_COLOURS,
                **layer_placement(annotation.image, annotation.shown),
            )
            viewer.layers.selection.active = active
            self._layer.editable = False
        else:
            self._layer.data[...] = array
            self._layer.refresh(thumbnail=False, highlight=False, extent=False)
        self._place(annotation, axis, index)
        self.n_shown += 1

    def _place(self, annotation: Annotation, axis: int, index: int) -> None:
        """Put the thin layer onto its slice."""
        layer, grid = self._layer, annotation.shown.grid
        if layer is None or grid.n_spatial < 3:
            return
        voxel = np.zeros(3)
        voxel[axis] = index
        corner = grid.to_data(voxel)[0]
        along = grid.axes_map.axes[axis]
        image = annotation.image
        offset = image.scale[-3:][along] * corner[along]
        translate = np.array(image.translate[-3:], dtype=float)
        translate[along] += offset
        if not np.allclose(layer.translate, translate):
            layer.translate = translate


def preview(session: Session, object_id: int, voxel: Sequence[float], axis: int, index: int) -> SliceMask | None:
    """The mask that one more click would give; nothing is remembered."""
    obj = session.objects.get(object_id)
    if obj is not None and (
        (obj.is_fixed(index) and index in obj.locked) or obj.protected or (obj.prompts and obj.axis != axis)
    ):
        return None
    here = [] if obj is None else [p for p in obj.prompts if p.slice_index(axis) == index]
    prompts = SlicePrompts.of([*here, Point((voxel[0], voxel[1], voxel[2]))], session.volume, axis)[index]
    previous = None if obj is None else obj.anchors.get(index)
    return session.engine(axis).predict(index, prompts, previous=previous).mask
