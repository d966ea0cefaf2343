"""The objects of a scan alone, in 3-D.

Whatever shows intensities or prompts would lie over them there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["ObjectsIn3d"]


class ObjectsIn3d:
    """Hides the scan, its channels and prompts while its objects are turned.

    Parameters
    ----------
    work : ScanWork
        The scan.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._hidden: tuple[Layer, ...] = ()
        self._slice: tuple[int, int] | None = None
        work.workspace.viewer.dims.events.ndisplay.connect(self._show_again)

    def close(self) -> None:
        """Stop listening; what was hidden is shown again."""
        workspace = self._work.workspace
        if workspace.has_viewer:
            workspace.viewer.dims.events.ndisplay.disconnect(self._show_again)
        self._show()

    def toggle(self) -> None:
        """Show the objects alone in 3-D, or slices with the image again."""
        work, viewer = self._work, self._work.workspace.viewer
        if viewer.dims.ndisplay == 3:
            viewer.dims.ndisplay = 2
            work.view.turn_upright()
            if self._slice is not None:
                work.view.go_to(*self._slice)
            work.told.emit("Slices again.")
            return
        self._slice = work.view.slice()
        viewer.dims.ndisplay = 3
        over = (work.image, *work.channels.layers.all, *work.prompts.layers)
        self._hidden = tuple(layer for layer in dict.fromkeys(over) if layer.visible)
        for layer in self._hidden:
            layer.visible = False
        viewer.reset_view()
        work.told.emit("The objects in 3-D: drag turns them; 6 goes back to slices.")

    def _show_again(self, _event: Any = None) -> None:
        """Napari's own button, and the keys of planes, go back to slices as well."""
        if self._work.workspace.viewer.dims.ndisplay == 2:
            self._show()

    def _show(self) -> None:
        for layer in self._hidden:
            layer.visible = True
        self._hidden = ()
