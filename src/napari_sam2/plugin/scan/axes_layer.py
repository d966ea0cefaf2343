"""Long and short axes of objects, drawn with their lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from napari_sam2.plugin.scan.prompt_layers import layer_placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Shapes

    from napari_sam2.measures.measure import Measurement
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["AxesLayer"]

TEXT: Final = {"string": "{length}", "size": 11, "color": "white", "anchor": "upper_left", "translation": [0, 0, 0]}


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
        lines, lengths, colours = [], [], []
        for m in measurements:
            for line, length in ((m.long_line, m.long_axis_mm), (m.short_line, m.short_axis_mm)):
                ends = np.array(line)
                ends[:, axial] = m.axis_slice
                lines.append(grid.to_data(ends))
                lengths.append(f"{length:.1f} {unit}")
                colours.append((*work.result.colour_of(m.label_id), 1.0))
        active = viewer.layers.selection.active
        self.layer = viewer.add_shapes(
            lines,
            shape_type="line",
            name=f"{work.image.name} axes",
            edge_color=colours,
            edge_width=max(work.shown.volume.shape) / 320,
            features=pd.DataFrame({"length": lengths}),
            text=dict(TEXT),
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
