"""Strokes of the hand on the picture.

Brush, eraser, lasso, and the part to keep.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from psygnal import Signal

from napari_sam2.core.hand_tools.tools import Brush, KeepPart, Lasso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.hand_tools.tools import HandTool
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["HandStrokes"]

MODES: Final = {
    "brush": "Brush: drag to paint",
    "erase": "Eraser: drag to take away",
    "lasso": "Lasso: drag around what belongs to the object; with Shift a box as always",
    "keep part": "Keep part: click on the part of the object that stays",
}
"""What a plain drag does, and what is said of it."""

RADIUS_VOXELS: Final = 3
"""Radius of the brush until another one is typed, in voxels of the finer side."""

CORNERS: Final = 400
"""Most corners of a stroke: more than the screen shows."""


class HandStrokes:
    """What a plain drag draws on a scan.

    Nothing until a mode is chosen.

    Parameters
    ----------
    work : ScanWork
        Whose current object is shaped, on the slice on view.

    Attributes
    ----------
    radius : float
        Of the brush, in millimetres.
    limits : tuple of float
        Least and greatest intensity that brush and eraser touch.
    """

    changed = Signal(str)
    """Another mode is chosen; empty for none."""

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self.mode = ""
        self.radius = RADIUS_VOXELS * min(work.shown.volume.plane().spacing)
        self.limits = (-math.inf, math.inf)

    def choose(self, mode: str) -> None:
        """Choose what a drag does.

        The same again, or an empty mode, gives the drag back to the view.
        """
        self.mode = "" if mode == self.mode else mode
        self.changed.emit(self.mode)
        name = self._work.name_of(self._work.current)
        self._work.told.emit(f"{MODES[self.mode]} ({name})." if self.mode else "A drag moves the view again.")

    def stroke(self, voxels: NDArray[np.float64], axis: int, index: int) -> None:
        """Use the chosen mode along a path.

        Of voxel coordinates (N, 3), on slice `index` across `axis`.
        """
        work = self._work
        object_id = work.current
        own_axis = work.axis_of(object_id)
        if own_axis != axis:
            plane = work.shown.volume.plane_name(own_axis)
            work.told.emit(f"{work.name_of(object_id)} lies on {plane} slices; show one to draw on it.")
            return
        tool, on_slice = self._tool(voxels, axis), None if self.mode == "keep part" else index
        mode = self.mode

        def use(session: Session) -> list[SliceResult]:
            if object_id not in session.objects:
                session.axis = axis
                session.add_object(object_id)
            return session.use_tool(object_id, tool, on_slice)

        def done(results: list[SliceResult]) -> None:
            if results:
                work.told.emit(f"{mode.capitalize()}: {work.name_of(object_id)} is changed. Ctrl+Z takes it back.")
            else:
                work.told.emit(f"{mode.capitalize()}: nothing changed here.")

        work.ask(use, done)

    def _tool(self, voxels: NDArray[np.float64], axis: int) -> HandTool:
        if self.mode == "keep part":
            i, j, k = (int(c) for c in np.floor(voxels[-1] + 0.5))
            return KeepPart((i, j, k))
        path = self._path(voxels, axis)
        if self.mode == "lasso":
            return Lasso(path)
        low, high = self.limits
        return Brush(path, self.radius, low, high, erase=self.mode == "erase")

    def _path(self, voxels: NDArray[np.float64], axis: int) -> tuple[tuple[float, float], ...]:
        step = math.ceil(len(voxels) / CORNERS)
        corners: Sequence[Sequence[float]] = self._work.shown.volume.plane(axis).to_plane(voxels[::step]).tolist()
        return tuple((round(row, 2), round(col, 2)) for row, col in corners)
