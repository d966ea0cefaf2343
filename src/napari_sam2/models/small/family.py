"""The small model in the registry of models."""

from __future__ import annotations

from typing import Final

from napari_sam2.models.family import Family

__all__ = ["FAMILY"]

FAMILY: Final = Family(
    name="bundled",
    title="small model",
    model_types=("napari_sam2_small",),
    load="small.folder:load_small_folder",
    built_in="bundled",
    load_built_in="small.model:load_bundled",
    weights="weights/*.safetensors",
    file_suffix=".safetensors",
    load_file="small.model:load_small",
)
