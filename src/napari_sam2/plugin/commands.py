"""Commands for palette and menus.

One for every row of the action table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.plugin.control.action_table import ACTIONS, Action
from napari_sam2.plugin.control.registry import controller_for

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN, PANEL = "napari-sam2", "Segment with SAM 2"


def _command(entry: Action) -> Callable[[Any], None]:
    # napari hands over the viewer by the parameter's name.
    def run(napari_viewer: Any) -> None:
        controller = controller_for(napari_viewer)
        if not controller.has_panel and hasattr(napari_viewer, "window"):
            # napari gives back a hidden panel as it is.
            dock, _ = napari_viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
            dock.show()
        entry.do(controller.workspace)

    run.__name__ = run.__qualname__ = entry.name
    run.__doc__ = entry.help
    return run


_COMMANDS = {entry.name: _command(entry) for entry in ACTIONS}


def __getattr__(name: str) -> Callable[[Any], None]:
    """The command of an action, by the action's name."""
    if name not in _COMMANDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _COMMANDS[name]
