"""Docks beside the picture: other planes, other scan, figures.

Each is made when it is first asked for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_sam2.plugin.widgets.figures_box import FiguresBox
from napari_sam2.plugin.widgets.planes_box import PlanesBox
from napari_sam2.plugin.widgets.side_box import SideBox

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.plugin.control.workspace import Switch

__all__ = ["BesideDocks"]


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
        if name not in self._docks and on:
            window = self._controller.workspace.viewer.window
            self._docks[name] = window.add_dock_widget(kind(self._controller), name=name, area=area)
        if name in self._docks:
            self._docks[name].setVisible(on)
