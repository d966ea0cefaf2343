"""Hover preview: the mask that a click here would give.

Shown faintly, and dropped when it is stale.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.plugin.scan.prompt_layers import layer_placement
from napari_sam2.plugin.scan.result_layer import HOVER_COLOURS
from napari_sam2.session.glancing import Glimpse, glance_at

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["PATIENCE", "HoverPreview"]

PATIENCE: Final = 0.2
"""Seconds after which it is said that the answer takes longer."""


class HoverPreview:
    """Asks for a preview under the mouse while it is switched on.

    Parameters
    ----------
    work : ScanWork
        The scan; while a run of it goes on, no preview is asked for.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._layer: Labels | None = None
        self._generation = 0
        self.n_shown = 0
        self._seen: set[tuple[int, int]] = set()
        self._said = ""
        self._asked_at: float | None = None
        self._sides: dict[int, float] = {}

    def ask(self, voxel: NDArray[np.float64], axis: int) -> None:
        """Ask what a click on a voxel would give.

        An older question that has not begun is replaced.
        """
        work, switch = self._work, self._work.workspace.preview
        if not switch.on:
            return
        if work.run.running:
            self._say("There is no preview while a run goes on.")
            return
        if (axis, int(voxel[axis])) not in self._seen:
            self._say("Preview: the model looks at this slice for the first time ...")
        self._generation += 1
        self._asked_at = time.monotonic() if self._asked_at is None else self._asked_at
        generation, index, object_id = self._generation, int(voxel[axis]), work.current
        place, side = voxel.tolist(), self._sides.get(axis, 0.0)

        def glance(session: Session) -> Glimpse | None:
            # A click, or a newer place, makes it stale before it has begun.
            return glance_at(session.state, object_id, place, axis, side) if generation == self._generation else None

        def done(glimpse: Glimpse | None) -> None:
            if glimpse is not None and glimpse.side:
                self._sides[axis] = glimpse.side
            if generation != self._generation:
                return
            self._seen.add((axis, index))
            self._asked_at = None
            mask = None if glimpse is None else glimpse.mask
            if self._said:
                self._say("" if mask is not None and mask.n_voxels else "Preview: nothing would be found here.")
            if switch.on and work.view.slice() == (axis, index):
                self._show(mask, axis, index)

        work.ask_quietly(glance, done, key="hover")

    def say_if_waiting(self) -> None:
        """Say that the answer takes longer, when it does."""
        if self._asked_at is None or self._said or time.monotonic() - self._asked_at < PATIENCE:
            return
        if self._work.workspace.thread.idle:
            # Nothing comes any more: what was asked could not be answered.
            self._asked_at = None
        else:
            self._say("Preview: the model is still looking at this place ...")

    def _say(self, sentence: str) -> None:
        """Say why no preview is seen, once; an empty sentence when it is seen again."""
        if sentence != self._said:
            self._said = sentence
            self._work.told.emit(sentence or "Preview: a click gives about what is shown.")

    def clear(self) -> None:
        """Show nothing, and drop answers on their way.

        The layer stays: to add it again for every click would cost more than the preview itself.
        """
        self._generation += 1
        self._asked_at = None
        if self._layer is not None and self._layer.data.any():
            self._layer.data[...] = 0
            self._layer.refresh(thumbnail=False, highlight=False, extent=False)

    def remove(self) -> None:
        """Take the preview away, and drop answers on their way."""
        self._generation += 1
        self._asked_at = None
        layer, workspace = self._layer, self._work.workspace
        self._layer = None
        if layer is not None and workspace.has_viewer and layer in workspace.viewer.layers:
            workspace.viewer.layers.remove(layer)

    def _show(self, mask: SliceMask | None, axis: int, index: int) -> None:
        work, viewer = self._work, self._work.workspace.viewer
        volume, grid = work.shown.volume, work.shown.grid
        plane = volume.plane(axis)
        thin: Any = np.zeros([1 if a == axis else n for a, n in enumerate(volume.shape)], dtype=np.uint8)
        if mask is not None:
            plane.take(thin, 0)[...] = mask.full(plane.shape)
        array = grid.shown(thin)
        if self._layer is None or self._layer not in viewer.layers or self._layer.data.shape != array.shape:
            self.remove()
            self._generation -= 1
            active = viewer.layers.selection.active
            self._layer = viewer.add_labels(
                array,
                name="preview",
                opacity=0.45,
                colormap=HOVER_COLOURS,
                **layer_placement(work.image, work.shown),
            )
            viewer.layers.selection.active = active
            self._layer.editable = False
        else:
            self._layer.data[...] = array
            self._layer.refresh(thumbnail=False, highlight=False, extent=False)
        self._place(axis, index)
        self.n_shown += 1

    def _place(self, axis: int, index: int) -> None:
        """Put the thin layer onto its slice."""
        layer, grid, image = self._layer, self._work.shown.grid, self._work.image
        if layer is None or grid.n_spatial < 3:
            return
        voxel = np.zeros(3)
        voxel[axis] = index
        corner = grid.to_data(voxel)[0]
        along = grid.axes_map.axes[axis]
        offset = image.scale[-3:][along] * corner[along]
        translate = np.array(image.translate[-3:], dtype=float)
        translate[along] += offset
        if not np.allclose(layer.translate, translate):
            layer.translate = translate
