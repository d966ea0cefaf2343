"""Commands for the palette and the menus: each finds the viewer's controller and calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.plugin.registry import controller_for

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "next_object",
    "propagate_both",
    "redo",
    "show_axial",
    "show_coronal",
    "show_sagittal",
    "stop",
    "undo",
]


def _command(name: str) -> Callable[[Any], None]:
    # napari hands over the viewer by the parameter's name.
    def run(napari_viewer: Any) -> None:
        getattr(controller_for(napari_viewer).actions, name)()

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"Call `Actions.{name}` of the viewer."
    return run


next_object = _command("next_object")
propagate_both = _command("propagate_both")
redo = _command("redo")
show_axial = _command("show_axial")
show_coronal = _command("show_coronal")
show_sagittal = _command("show_sagittal")
stop = _command("stop")
undo = _command("undo")
