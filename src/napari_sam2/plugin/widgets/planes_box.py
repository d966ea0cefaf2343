"""The two other planes of the chosen scan, beside the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.plugin.widgets.plane_view import PlaneView

if TYPE_CHECKING:
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_sam2.plugin.control.controller import Controller

__all__ = ["PlanesBox"]

DELAY_MS: Final = 60
"""How long further changes are waited for before the planes are drawn."""


class PlanesBox(QWidget):
    """Follows the canvas, the cross and the objects while it is seen.

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
        self.views = (PlaneView(), PlaneView())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        for view in self.views:
            layout.addWidget(view, 1)
            view.clicked.connect(self._on_click)
            view.boxed.connect(self._on_box)
            view.moved.connect(self._on_moved)
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
        """Draw both planes as they are now."""
        work = self._work()
        on_view = None if work is None else work.view.slice()
        shown = 2 if on_view is None else on_view[0]
        for view, axis in zip(self.views, (a for a in (2, 1, 0) if a != shown), strict=True):
            view.show_plane(work, axis)

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
        if not on and self._followed is not None:
            self._followed.cross.changed.disconnect(self._soon)
            self._followed = None

    def _follow_work(self) -> None:
        if self._followed is not None:
            self._followed.cross.changed.disconnect(self._soon)
        self._followed = self._work()
        if self._followed is not None:
            self._followed.cross.changed.connect(self._soon)
        self._soon()

    def _soon(self, _event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _work(self) -> ScanWork | None:
        work = self._controller.work
        return work if isinstance(work, ScanWork) and work.kind == "scan" else None

    def _on_click(self, voxel: Any, axis: int, positive: bool) -> None:
        work = self._work()
        if work is not None:
            work.cross.go_to(voxel)
            work.pointer.click_voxel(voxel, axis, positive=positive)

    def _on_box(self, first: Any, last: Any, axis: int) -> None:
        work = self._work()
        if work is not None:
            work.pointer.box_voxels(first, last, axis)

    def _on_moved(self, voxel: Any) -> None:
        work = self._work()
        if work is not None:
            work.cross.go_to(voxel)
