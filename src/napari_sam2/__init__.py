"""Interactive 3-D segmentation of MRI, CT and histology with SAM 2.

The names below are imported when they are first used, so that ``import napari_sam2`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from napari_sam2._version import __version__

if TYPE_CHECKING:
    from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts, Point
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.io import read_labels, read_volume, write_labels
    from napari_sam2.models import load_model
    from napari_sam2.record.save import save_session
    from napari_sam2.session.session import Session

__all__ = [
    "Box",
    "MaskPrompt",
    "ObjectPrompts",
    "Point",
    "Session",
    "Volume",
    "Window",
    "__version__",
    "load_model",
    "read_labels",
    "read_volume",
    "save_session",
    "write_labels",
]

_HOMES: Final = {
    "Box": "core.prompts",
    "MaskPrompt": "core.prompts",
    "ObjectPrompts": "core.prompts",
    "Point": "core.prompts",
    "Session": "session",
    "Volume": "core.volume",
    "Window": "core.window",
    "load_model": "models",
    "read_labels": "io",
    "read_volume": "io",
    "save_session": "record.save",
    "write_labels": "io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
