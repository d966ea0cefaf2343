"""Long and short axes of objects, drawn with their lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from napari_sam2.plugin.scan.prompt_layers import layer_placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Shapes
    from numpy.typing import NDArray

    from napari_sam2.measures.measure import Measurement
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["AxesLayer"]

COLOUR: Final = "#ffdc00"
"""Seen on every object's colour and on the picture, in both themes."""

TEXT: Final = {"string": "{length}", "size": 12, "color": COLOUR, "anchor": "center"}
"""In the middle of the object: beside it, the picture's border would cut it."""

BELOW: Final = 0.07
"""Part of the picture's height by which the text stands below the crossing of the axes."""


class AxesLayer:
    """A layer of lines, made anew for each measurement.

    Parameters
    ----------
    work : ScanWork
        Whose objects they belong to.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self.layer: Shapes | None = None

    def show(self, measurements: Sequence[Measurement]) -> None:
        """Draw both axes of each object on the slice where they lie."""
        work = self._work
        self.remove()
        if not work.workspace.has_viewer or work.shown.grid.n_spatial < 3 or not measurements:
            return
        viewer, grid = work.workspace.viewer, work.shown.grid
        unit = "mm" if work.shown.is_sized else "px"
        axial = work.shown.volume.axis_of_plane("axial")
        lines, lengths = [], []
        for m in measurements:
            # Both lengths stand at the long axis, as reports have them: two texts would lie over each other.
            both = f"{m.long_axis_mm:.1f} x {m.short_axis_mm:.1f} {unit}"
            for line, length in ((m.long_line, both), (m.short_line, "")):
                ends = np.array(line)
                ends[:, axial] = m.axis_slice
                lines.append(grid.to_data(ends))
                lengths.append(length)
        active = viewer.layers.selection.active
        self.layer = viewer.add_shapes(
            lines,
            shape_type="line",
            name=f"{work.image.name} axes",
            edge_color=COLOUR,
            edge_width=max(work.shown.volume.shape) / 320,
            features=pd.DataFrame({"length": lengths}),
            text={**TEXT, "translation": _down(work, axial)},
            **layer_placement(work.image, work.shown),
        )
        self.layer.editable = False
        viewer.layers.selection.active = active

    def remove(self) -> None:
        """Take the lines away."""
        layer, workspace = self.layer, self._work.workspace
        self.layer = None
        if layer is not None and workspace.has_viewer and layer in workspace.viewer.layers:
            workspace.viewer.layers.remove(layer)


def _down(work: ScanWork, axis: int) -> NDArray[np.float64]:
    """A small step down on slices across an axis, in data coordinates."""
    plane = work.shown.volume.plane(axis)
    here, below = work.shown.grid.to_data(plane.to_voxel(np.array([[0.0, 0.0], [BELOW * plane.shape[0], 0.0]]), 0))
    step: NDArray[np.float64] = below - here
    return step
