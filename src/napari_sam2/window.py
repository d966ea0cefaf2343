"""Intensity windows, under the name that scripts import."""

from napari_sam2.core.window import CT_PRESETS, Window, choose_window, is_ct

__all__ = ["CT_PRESETS", "Window", "choose_window", "is_ct"]
