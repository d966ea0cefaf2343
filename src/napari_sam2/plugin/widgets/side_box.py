"""The other scan beside the canvas, at the same place, upright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.plugin.widgets.plane_view import PlaneView

if TYPE_CHECKING:
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["SideBox"]

DELAY_MS: Final = 60
"""How long further changes are waited for before the slice is drawn."""

MIN_WIDTH: Final = 260
"""Pixels that the other scan has at least."""


class SideBox(QWidget):
    """Follows the canvas while it is seen.

    A click or the wheel moves both.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._followed: ScanWork | None = None
        self._connected = False
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
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self.show_now)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Begin to follow."""
        super().showEvent(event)
        self._connect(True)
        self._follow_work()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Let go: nothing is drawn that is not seen."""
        super().hideEvent(event)
        self._connect(False)
        self._timer.stop()

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
        self.view.setToolTip("The other scan at the same place. A click or a drag moves both, the wheel their slice.")

    def _on_moved(self, voxel: Any) -> None:
        work = self._work()
        if work is not None and work.other.chosen is not None:
            work.cross.go_to(work.other.place_here(voxel))

    def _connect(self, on: bool) -> None:
        if on == self._connected:
            return
        self._connected = on
        workspace = self._controller.workspace
        dims = workspace.viewer.dims.events
        for event in (dims.current_step, dims.order):
            event.connect(self._soon) if on else event.disconnect(self._soon)
        for signal, slot in ((workspace.objects_changed, self._soon), (workspace.image_changed, self._follow_work)):
            signal.connect(slot) if on else signal.disconnect(slot)
        if not on:
            self._follow(None)

    def _follow_work(self) -> None:
        self._follow(self._work())
        self._soon()

    def _follow(self, work: ScanWork | None) -> None:
        if self._followed is not None:
            for signal in (self._followed.cross.changed, self._followed.other.changed):
                signal.disconnect(self._soon)
        self._followed = work
        if work is not None:
            for signal in (work.cross.changed, work.other.changed):
                signal.connect(self._soon)

    def _soon(self, _event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _work(self) -> ScanWork | None:
        work = self._controller.work
        return work if isinstance(work, ScanWork) and work.kind == "scan" else None
