"""A fixed row that says where one is.

Letters at the borders, and what lies under the mouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer

from napari_sam2.plugin.canvas.directions import border_letters, hide_letters, show_letters
from napari_sam2.plugin.scan.place import place_text
from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.plugin.widgets.lines_label import LinesLabel

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_sam2.plugin.control.workspace import Workspace

__all__ = ["WhereRow"]

LINES: Final = 2

MARGIN: Final = 4
"""Pixels that its two lines need around them."""

DELAY_MS: Final = 80
"""How often the row follows the mouse at most."""


class WhereRow(LinesLabel):
    """Two lines of text that never move what is below.

    Parameters
    ----------
    workspace : Workspace
        Of the viewer.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(LINES, parent, MARGIN)
        self._workspace = workspace
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self.show_place)

    def listen(self, on: bool) -> None:
        """Follow mouse and view as long as the panel is seen."""
        viewer = self._workspace.viewer
        camera, dims = viewer.scene.camera.events, viewer.dims.events
        for event in (viewer.cursor.events.position,):
            event.connect(self._on_mouse) if on else event.disconnect(self._on_mouse)
        for event in (camera.orientation, dims.order, dims.ndisplay):
            event.connect(self.show_letters) if on else event.disconnect(self.show_letters)
        layers = viewer.layers.events
        layers.connect(self._on_layers) if on else layers.disconnect(self._on_layers)
        if on:
            self.show_letters()
        else:
            self._timer.stop()
            hide_letters(viewer)

    def show_letters(self, _event: Any = None) -> None:
        """Show which side is where; nothing while scans lie differently."""
        viewer, work = self._workspace.viewer, self._work()
        others = [other for other in self._workspace.works.values() if isinstance(other, ScanWork)]
        seen = [other for other in others if other is work or other.image.visible]
        letters = [border_letters(viewer, other.image, other.shown) for other in seen]
        agree = work is not None and all(of_scan == letters[0] for of_scan in letters)
        show_letters(viewer, letters[0] if agree else {})

    def _on_layers(self, event: Any) -> None:
        """A scan that is shown or hidden by its eye changes what the letters may say."""
        if event.type == "visible":
            self.show_letters()

    def _on_mouse(self, _event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def show_place(self) -> None:
        """Show what lies under the mouse; nothing without an image."""
        work = self._work()
        if self._workspace.has_viewer:
            text = "" if work is None else place_text(work, tuple(self._workspace.viewer.cursor.position))
            if text != self.text():
                self.setText(text)

    def _work(self) -> ScanWork | None:
        work = self._workspace.work
        return work if isinstance(work, ScanWork) else None
