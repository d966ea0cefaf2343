"""Which controller belongs to which viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari_sam2.plugin.control.controller import Controller, plain

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["controller_for"]

_controllers: WeakKeyDictionary[ViewerModel, Controller] = WeakKeyDictionary()


def controller_for(viewer: Any) -> Controller:
    """The viewer's controller, made when it is first asked for.

    Proxies of a viewer share it.
    """
    viewer = plain(viewer)
    if viewer not in _controllers:
        from napari_sam2.plugin.background.qt_wakeup import inference_thread
        from napari_sam2.plugin.settings import read_preferences

        _controllers[viewer] = Controller(viewer, inference_thread(), read_preferences)
    return _controllers[viewer]
