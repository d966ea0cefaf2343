"""The choice of an intensity window.

In step with the contrast limits of the canvas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QWidget

from napari_sam2.plugin.scan.window_change import AUTO, follow_view, show_window, window_names
from napari_sam2.plugin.scan.work import ScanWork

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_sam2.plugin.control.workspace import Workspace

__all__ = ["WindowChoice"]

SEEN: Final = "as shown"
"""Name of a window that was set on the canvas by hand."""

WINDOW_DELAY_MS: Final = 300
"""How long the contrast limits must rest before the model follows them."""


class WindowChoice(QComboBox):
    """Lists the windows of the chosen image.

    Follows the canvas while it listens.

    Parameters
    ----------
    workspace : Workspace
        Of the viewer.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._followed: Image | None = None
        self.setToolTip("How intensities are shown, to you and to the model alike.")
        self.activated.connect(self._on_chosen)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WINDOW_DELAY_MS)
        self._timer.timeout.connect(self._follow)

    def listen_to(self, image: Image | None) -> None:
        """Follow the contrast limits of this image, or of none."""
        if self._followed is not None:
            self._followed.events.contrast_limits.disconnect(self._on_limits)
        self._followed = image
        if image is not None:
            image.events.contrast_limits.connect(self._on_limits)

    def show_current(self) -> None:
        """Show the window through which the model sees."""
        work = self._scan()
        names = window_names(work)
        window = None if work is None else work.snapshot.window
        chosen = AUTO if window is None or window.name in ("percentile", "file", "rgb") else window.name
        if chosen not in names:
            names = [*names, SEEN]
            chosen = SEEN
        if [self.itemText(n) for n in range(self.count())] != names:
            self.clear()
            self.addItems(names)
        self.setCurrentText(chosen)

    def _on_chosen(self) -> None:
        work = self._scan()
        if work is not None and self.currentText() != SEEN:
            show_window(work, self.currentText())

    def _on_limits(self, _event: Any = None) -> None:
        # Dragging the limits sends dozens of events; the model is told when the hand rests.
        self._timer.start()

    def _follow(self) -> None:
        work = self._scan()
        if work is not None:
            follow_view(work)

    def _scan(self) -> ScanWork | None:
        work = self._workspace.work
        return work if isinstance(work, ScanWork) else None
