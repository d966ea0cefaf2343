"""Docks beside the picture: other planes, other scan, figures.

Each is made when it is first asked for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from qtpy.QtCore import Qt, QTimer

from napari_sam2.plugin.canvas.fitting import fit, is_seen_whole
from napari_sam2.plugin.widgets.figures_box import FiguresBox
from napari_sam2.plugin.widgets.planes_box import PlanesBox
from napari_sam2.plugin.widgets.side_box import SideBox

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.control.workspace import Switch

__all__ = ["LAYOUT_MS", "BesideDocks"]

CORNERS: Final = (
    (Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea),
    (Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea),
)

LEFT: Final = ("Other planes", "Other scan")
"""Docks that stand where napari has its lists of layers."""

SHARE: Final = 0.28
"""Part of the window's width that they get."""

LAYOUT_MS: Final = 50
"""After this time Qt has laid out a dock that was shown or hidden."""


class BesideDocks:
    """Follows the switches of a workspace.

    Parameters
    ----------
    controller : Controller
        Of the viewer.
    """

    def __init__(self, controller: Controller) -> None:
        workspace = controller.workspace
        self._controller = controller
        self._docks: dict[str, QWidget] = {}
        self._hid_lists = False
        self._followed: list[tuple[Switch, Callable[[bool], None]]] = [
            (workspace.planes, partial(self._show, "Other planes", "left", PlanesBox)),
            (workspace.side_by_side, partial(self._show, "Other scan", "left", SideBox)),
            (workspace.figures, partial(self._show, "Figures", "bottom", FiguresBox)),
        ]

    def listen(self, on: bool) -> None:
        """Follow the switches as long as the panel is seen."""
        for switch, show in self._followed:
            switch.changed.connect(show) if on else switch.changed.disconnect(show)

    def _show(self, name: str, area: str, kind: Callable[[Controller], QWidget], on: bool) -> None:
        self._keep_whole()
        if name not in self._docks and on:
            window = self._controller.workspace.viewer.window
            # A dock below the picture takes from the picture alone: the panel keeps its height.
            for corner, side in CORNERS:
                window._qt_window.setCorner(corner, side)
            self._docks[name] = window.add_dock_widget(kind(self._controller), name=name, area=area)
        if name in self._docks:
            self._docks[name].setVisible(on)
        if area == "left":
            self._give_room(on)

    def _give_room(self, on: bool) -> None:
        """Let napari's lists step aside for a picture on their side, and come back after the last one."""
        workspace = self._controller.workspace
        if on and workspace.layer_lists.on:
            self._hid_lists = True
            workspace.layer_lists.set(False)
        elif not on and self._hid_lists and not (workspace.planes.on or workspace.side_by_side.on):
            self._hid_lists = False
            workspace.layer_lists.set(True)
        shown = [self._docks[name] for name in LEFT if name in self._docks and self._docks[name].isVisible()]
        if shown:
            window = workspace.viewer.window._qt_window
            widths = [round(SHARE * window.width())] * len(shown)
            window.resizeDocks(shown, widths, Qt.Orientation.Horizontal)

    def _keep_whole(self) -> None:
        """Let an image that is seen whole stay so, once the dock has taken or given back its room."""
        workspace = self._controller.workspace
        image = workspace.image
        if image is None or not is_seen_whole(workspace.viewer, image):
            return

        def refit() -> None:
            if workspace.has_viewer and image in workspace.viewer.layers:
                fit(workspace.viewer, image)

        QTimer.singleShot(LAYOUT_MS, refit)
