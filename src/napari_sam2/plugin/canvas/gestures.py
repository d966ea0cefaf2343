"""One gesture tool for the mouse.

Click includes, right- or Ctrl-click excludes, Shift-drag draws a box, drag pans.

It acts while the active layer is in pan/zoom mode; with one of napari's own tools chosen, that tool
does what it always does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import ref

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from napari.components import ViewerModel

__all__ = ["GestureTarget", "GestureTool"]

CLICK_RADIUS: Final = 5
"""Canvas pixels; a press that moved further is a drag. The same as napari's own tools use."""

_LEFT, _RIGHT = 1, 2


class GestureTarget(Protocol):
    """Gets what was pointed at, in napari's world coordinates."""

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """A click at a place."""

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """A box was drawn from one corner to the other."""

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """A box is being drawn; None: it was given up."""

    def hover_at(self, world: Sequence[float]) -> None:
        """The mouse rests at a place."""

    @property
    def draws(self) -> bool:
        """Whether a plain drag draws a stroke instead of moving the view."""

    def stroke_preview(self, path: Sequence[Sequence[float]]) -> None:
        """A stroke is being drawn."""

    def stroke_along(self, path: Sequence[Sequence[float]]) -> None:
        """A stroke was drawn; of one place when it was a click."""


class GestureTool:
    """Mouse callbacks on a viewer, attached while a panel is visible.

    Parameters
    ----------
    viewer : ViewerModel
        Whose mouse is listened to.
    target : callable
        The `GestureTarget` of this moment.
    """

    def __init__(self, viewer: ViewerModel, target: Callable[[], GestureTarget]) -> None:
        self._viewer = ref(viewer)
        self._target = target

    def attach(self) -> None:
        """Begin to listen."""
        viewer = self._viewer()
        if viewer is not None and self._drag not in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.append(self._drag)
            viewer.mouse_move_callbacks.append(self._move)

    def detach(self) -> None:
        """Stop listening."""
        viewer = self._viewer()
        if viewer is not None and self._drag in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._drag)
            viewer.mouse_move_callbacks.remove(self._move)

    def _drag(self, viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        if event.button not in (_LEFT, _RIGHT) or not _is_free(viewer):
            return
        if event.button == _LEFT and not event.modifiers and self._target().draws:
            yield from self._stroke(event)
            return
        box = event.button == _LEFT and "Shift" in event.modifiers
        positive = event.button == _LEFT and "Control" not in event.modifiers
        # Handled means: the camera neither pans (box) nor zooms (right button).
        mine = box or event.button == _RIGHT
        start, pressed_at = tuple(event.position), np.array(event.pos)
        event.handled = event.handled or mine
        yield
        moved = False
        while event.type == "mouse_move":
            moved = moved or float(np.linalg.norm(np.array(event.pos) - pressed_at)) > CLICK_RADIUS
            event.handled = event.handled or mine
            if box and moved:
                self._target().box_preview(start, tuple(event.position))
            yield
        if box:
            if moved:
                self._target().box_between(start, tuple(event.position))
            else:
                self._target().box_preview(start, None)
        elif not moved:
            self._target().click_at(tuple(event.position), positive=positive)

    def _stroke(self, event: Any) -> Generator[None, None, None]:
        path = [tuple(event.position)]
        event.handled = True
        yield
        while event.type == "mouse_move":
            path.append(tuple(event.position))
            event.handled = True
            self._target().stroke_preview(path)
            yield
        # On a busy machine the last moves may not come at all.
        if tuple(event.position) != path[-1]:
            path.append(tuple(event.position))
        self._target().stroke_along(path)

    def _move(self, viewer: ViewerModel, event: Any) -> None:
        if _is_free(viewer):
            self._target().hover_at(tuple(event.position))


def _is_free(viewer: ViewerModel) -> bool:
    """Whether no tool of napari's own has a claim on the mouse."""
    active = viewer.layers.selection.active
    return viewer.dims.ndisplay == 2 and (active is None or str(active.mode) == "pan_zoom")
