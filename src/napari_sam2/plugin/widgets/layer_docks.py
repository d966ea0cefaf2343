"""Room for the picture.

Napari's lists of layers step aside in a small window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

__all__ = ["LayerDocks"]

NARROW: Final = 1500
"""Pixels of a window in which lists on the left and the panel on the right leave too little for the picture."""

_NAMES: Final = ("layer list", "layer controls")
"""napari's own docks, by the names it gives them."""


class LayerDocks:
    """Hides and shows napari's two docks of layers.

    Parameters
    ----------
    panel : QWidget
        In whose window they are.
    """

    def __init__(self, panel: QWidget) -> None:
        self._panel = panel
        self._asked = False
        self._width = 0

    def make_room(self) -> bool:
        """Hide them the first time when the window is narrow.

        Returns whether they are shown afterwards.
        """
        window = self._panel.window()
        if not self._asked and isinstance(window, QMainWindow) and window.width() < NARROW:
            self.show(False)
        self._asked = True
        return self.shown

    @property
    def shown(self) -> bool:
        """Whether one of them is not hidden."""
        return any(not dock.isHidden() for dock in self._docks())

    def show(self, on: bool) -> None:
        """Show or hide both; they come back as wide as they were."""
        docks, window = self._docks(), self._panel.window()
        if not on:
            self._width = max((dock.width() for dock in docks if dock.isVisible()), default=self._width)
        for dock in docks:
            dock.setVisible(on)
        if on and self._width and isinstance(window, QMainWindow):
            window.resizeDocks(docks, [self._width] * len(docks), Qt.Orientation.Horizontal)

    def _docks(self) -> list[QDockWidget]:
        window = self._panel.window()
        docks = window.findChildren(QDockWidget) if isinstance(window, QMainWindow) else []
        return [dock for dock in docks if dock.objectName() in _NAMES]
