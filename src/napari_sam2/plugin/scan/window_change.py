"""Windows: the model sees intensities as the canvas shows them.

What it sees is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.window import CT_PRESETS, Window, choose_window

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["AUTO", "follow_view", "show_window", "window_names"]

AUTO: Final = "auto"


def window_names(work: ScanWork | None) -> list[str]:
    """Windows to choose from.

    Presets only for CT, where intensities mean the same in every scan.
    """
    return [AUTO, *CT_PRESETS] if work is not None and work.is_ct else [AUTO]


def show_window(work: ScanWork, spec: str) -> Window:
    """Show a window on the canvas and to the model."""
    # The automatic window was found when the volume was opened: looking at all voxels takes time.
    window = work.auto_window if spec == AUTO else choose_window(work.shown.volume, spec)
    _set_limits(work.image, window)
    work.use_window(window)
    return window


def follow_view(work: ScanWork) -> Window | None:
    """Let the model see what the canvas shows now.

    The window, or None for colours.
    """
    image = work.image
    if work.shown.volume.is_rgb:
        return None
    low, high = (float(value) for value in image.contrast_limits)
    current = work.snapshot.window
    if high <= low or (current is not None and np.allclose((low, high), (current.low, current.high))):
        return current
    window = Window(low, high, "level/width")
    work.use_window(window)
    return window


def _set_limits(image: Image, window: Window) -> None:
    if image.rgb:
        return
    low, high = image.contrast_limits_range
    image.contrast_limits_range = (min(low, window.low), max(high, window.high))
    image.contrast_limits = (window.low, window.high)
