"""The cross on the canvas.

Where the other planes, or the other scan, are seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.plugin.scan.prompt_layers import layer_placement

if TYPE_CHECKING:
    from napari.layers import Vectors
    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["CrossLines"]

COLOUR: Final = "#ffdc0099"
"""That of the cross in the other planes."""

GAP: Final = 0.03
"""Part of the larger side that is left free around the place itself."""


class CrossLines:
    """A layer with two lines on every slice.

    It is there while other planes or the other scan are shown.

    Lines stand on all slices at once, so that moving through them draws nothing anew.

    Parameters
    ----------
    work : ScanWork
        Whose cross it is.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._layer: Vectors | None = None
        self._drawn: tuple[int, ...] = ()
        workspace = work.workspace
        for switch in (workspace.planes, workspace.side_by_side):
            switch.changed.connect(self.draw)
        work.cross.changed.connect(self.draw)
        workspace.viewer.dims.events.order.connect(self.draw)
        workspace.viewer.dims.events.ndisplay.connect(self.draw)

    @property
    def layer(self) -> Vectors | None:
        """The layer, while there is one."""
        return self._layer

    def close(self) -> None:
        """Stop listening; nothing is drawn any more."""
        workspace = self._work.workspace
        for switch in (workspace.planes, workspace.side_by_side):
            switch.changed.disconnect(self.draw)
        self._work.cross.changed.disconnect(self.draw)
        if workspace.has_viewer:
            workspace.viewer.dims.events.order.disconnect(self.draw)
            workspace.viewer.dims.events.ndisplay.disconnect(self.draw)
        self._remove()

    def draw(self, _event: Any = None) -> None:
        """Draw the lines where the planes meet, or take them away."""
        work = self._work
        workspace = work.workspace
        if not workspace.has_viewer:
            return
        on_view = work.view.slice()
        wanted = (workspace.planes.on or workspace.side_by_side.on) and workspace.work is work
        if not wanted or on_view is None or work.shown.grid.n_spatial < 3:
            self._remove()
            return
        axis, place = on_view[0], work.cross.place
        drawn = (axis, *(p for a, p in enumerate(place) if a != axis))
        viewer = workspace.viewer
        alive = self._layer is not None and self._layer in viewer.layers
        if alive and drawn == self._drawn:
            return
        self._drawn = drawn
        starts, ends = (work.shown.grid.to_data(points) for points in _lines(work.shown.volume.shape, axis, place))
        vectors = np.stack([starts, ends - starts], axis=1)
        if alive and self._layer is not None:
            self._layer.data = vectors
            return
        active = viewer.layers.selection.active
        self._layer = viewer.add_vectors(
            vectors,
            name=f"{work.image.name} cross",
            edge_color=COLOUR,
            edge_width=max(work.shown.volume.shape) / 640,
            vector_style="line",
            **layer_placement(work.image, work.shown),
        )
        viewer.layers.selection.active = active

    def _remove(self) -> None:
        layer, workspace = self._layer, self._work.workspace
        self._layer = None
        if layer is not None and workspace.has_viewer and layer in workspace.viewer.layers:
            workspace.viewer.layers.remove(layer)


def _lines(
    shape: tuple[int, int, int], axis: int, place: tuple[int, int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends (N, 3), in voxels, of four lines on each slice across an axis; the place itself stays free."""
    rows, cols = (a for a in range(3) if a != axis)
    gap = GAP * max(shape[rows], shape[cols])
    starts, ends = [], []
    for along, across in ((rows, cols), (cols, rows)):
        for first, last in ((-0.5, place[along] - gap), (place[along] + gap, shape[along] - 0.5)):
            if last <= first:
                continue
            pair = np.zeros((2, shape[axis], 3))
            pair[..., axis] = np.arange(shape[axis])
            pair[..., across] = place[across]
            pair[0, :, along], pair[1, :, along] = first, last
            starts.append(pair[0])
            ends.append(pair[1])
    return np.concatenate(starts), np.concatenate(ends)
