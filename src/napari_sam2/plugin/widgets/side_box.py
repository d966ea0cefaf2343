"""The other scan beside the canvas, at the same place, upright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout

from napari_sam2.plugin.widgets.following_box import FollowingBox
from napari_sam2.plugin.widgets.plane_view import PlaneView

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["SideBox"]

MIN_WIDTH: Final = 260
"""Pixels that the other scan has at least."""


class SideBox(FollowingBox):
    """Follows the canvas while it is seen.

    A click or the wheel moves both; a double click goes over to the other scan, to the same place.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(controller, parent)
        self.title = QLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.view = PlaneView()
        self.view.setMinimumWidth(MIN_WIDTH)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(2)
        layout.addWidget(self.title)
        layout.addWidget(self.view, 1)
        self.view.clicked.connect(lambda voxel, _axis, _positive: self._on_moved(voxel))
        self.view.moved.connect(self._on_moved)
        self.view.double_clicked.connect(self._go_over)

    def show_now(self) -> None:
        """Draw the other scan's slice at the place of the cross."""
        work = self._work()
        other = None if work is None else work.other.chosen
        if work is None or other is None:
            self.view.show_plane(None, 2)
            self.title.setText("Open the other scan, and choose it under Measure and compare.")
            return
        on_view = work.view.slice()
        here, there = work.shown.volume, other.shown.volume
        axis = there.axis_of_plane(here.plane_name(work.view.axis() if on_view is None else on_view[0]))
        place = work.other.place_there(work.cross.place)
        nearest = np.clip(np.floor(place + 0.5), 0, np.array(there.shape) - 1).astype(int)
        i, j, k = nearest.tolist()
        self.view.show_plane(other, axis, (i, j, k))
        beyond = abs(place[axis] - nearest[axis]) > 1
        where = "ends before this place" if beyond else f"{there.plane_name(axis)} slice {nearest[axis]}"
        self.title.setText(f"{other.image.name}: {where}")
        self.view.setToolTip(
            "The other scan at the same place. A click or a drag moves both, the wheel their slice; a double "
            "click goes over to it, where prompts are its own."
        )

    def _on_moved(self, voxel: Any) -> None:
        work = self._work()
        if work is not None and work.other.chosen is not None:
            work.cross.go_to(work.other.place_here(voxel))

    def _go_over(self, voxel: Any) -> None:
        """Work on the other scan from now on, at a voxel (3,) of it: its prompts have an undo of their own."""
        work = self._work()
        other = None if work is None else work.other.chosen
        if work is None or other is None:
            return
        current = work.current
        self._controller.workspace.viewer.layers.selection.active = other.image
        other.cross.go_to(voxel)
        if current in other.snapshot.objects:
            other.select(current)

    def _signals(self, work: ScanWork) -> tuple[Any, ...]:
        return work.cross.changed, work.other.changed
