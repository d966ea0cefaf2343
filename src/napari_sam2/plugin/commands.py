"""Commands for the palette and the menus: one for every action of the key table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.plugin.control.action_table import ACTIONS
from napari_sam2.plugin.control.registry import controller_for

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN, PANEL = "napari-sam2", "Segment with SAM 2"


def __getattr__(name: str) -> Callable[[Any], None]:
    """The command of an action: finds the viewer's controller and calls it, with the panel open."""
    if name not in {entry.name for entry in ACTIONS}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    # napari hands over the viewer by the parameter's name.
    def run(napari_viewer: Any) -> None:
        controller = controller_for(napari_viewer)
        if not controller.has_panel and hasattr(napari_viewer, "window"):
            # napari gives back a hidden panel as it is.
            dock, _ = napari_viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
            dock.show()
        getattr(controller.actions, name)()

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Call `Actions.{name}` of the viewer."
    return run
