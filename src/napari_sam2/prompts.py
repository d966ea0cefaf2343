"""Prompts, under the name that scripts import."""

from napari_sam2.core.prompts import (
    Box,
    MaskPrompt,
    ObjectPrompts,
    Point,
    Prompt,
    SlicePrompts,
    check_prompts,
    slice_axis_of,
)

__all__ = ["Box", "MaskPrompt", "ObjectPrompts", "Point", "Prompt", "SlicePrompts", "check_prompts", "slice_axis_of"]
