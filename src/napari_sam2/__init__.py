"""Interactive 3-D segmentation of MRI, CT and histology with SAM 2.

The names below are imported when they are first used, so that ``import napari_sam2`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam2.io import read_labels, read_volume, write_labels
    from napari_sam2.models import load_model
    from napari_sam2.prompts import Box, MaskPrompt, ObjectPrompts, Point
    from napari_sam2.provenance import save_session
    from napari_sam2.session import Session
    from napari_sam2.volume import Volume
    from napari_sam2.window import Window

__version__ = "0.1.0"

__all__ = [
    "Box",
    "MaskPrompt",
    "ObjectPrompts",
    "Point",
    "Session",
    "Volume",
    "Window",
    "load_model",
    "read_labels",
    "read_volume",
    "save_session",
    "write_labels",
]

_HOMES = {
    "Box": "prompts",
    "MaskPrompt": "prompts",
    "ObjectPrompts": "prompts",
    "Point": "prompts",
    "Session": "session",
    "Volume": "volume",
    "Window": "window",
    "load_model": "models",
    "read_labels": "io",
    "read_volume": "io",
    "save_session": "provenance",
    "write_labels": "io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
