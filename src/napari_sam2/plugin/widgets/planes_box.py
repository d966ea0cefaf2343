"""The two other planes of the chosen scan, beside the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout

from napari_sam2.plugin.widgets.following_box import FollowingBox
from napari_sam2.plugin.widgets.plane_view import PlaneView

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["PlanesBox"]


class PlanesBox(FollowingBox):
    """Follows the canvas, the cross and the objects while it is seen.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(controller, parent)
        self.views = (PlaneView(), PlaneView())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        for view in self.views:
            layout.addWidget(view, 1)
            view.clicked.connect(self._on_click)
            view.boxed.connect(self._on_box)
            view.moved.connect(self._on_moved)

    def show_now(self) -> None:
        """Draw both planes as they are now."""
        work = self._work()
        on_view = None if work is None else work.view.slice()
        shown = 2 if on_view is None else on_view[0]
        for view, axis in zip(self.views, (a for a in (2, 1, 0) if a != shown), strict=True):
            view.show_plane(work, axis)

    def _signals(self, work: ScanWork) -> tuple[Any, ...]:
        return (work.cross.changed,)

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
