"""Writing a prompt file, as `napari_sam2.io.prompt_file` reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.prompts import Box, ObjectPrompts, Point, Prompt
from napari_sam2.io.atomic import check_folder, write_text
from napari_sam2.io.labels import write_labels
from napari_sam2.io.prompt_file import VERSION

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from napari_sam2.core.volume import Volume

__all__ = ["write_prompt_file"]


def write_prompt_file(
    objects: Sequence[ObjectPrompts],
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Path:
    """Write prompts so that `read_prompt_file` gives them back exactly.

    Masks become label maps beside the file, named after it, the object and the slice; so do objects that are given as a
    whole.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If a file cannot be written, or exists and may not be replaced.
    """
    target = Path(path)
    check_folder(target)
    written = []
    for obj in objects:
        entry: dict[str, Any] = {"id": obj.object_id}
        if obj.whole is None:
            entry["prompts"] = [_as_json(prompt, obj.object_id, volume, target, overwrite) for prompt in obj.prompts]
        else:
            entry["labels"] = f"{target.stem}_object{obj.object_id}.nii.gz"
            write_labels(obj.whole.astype(np.uint8), volume, target.with_name(entry["labels"]), overwrite=overwrite)
        if obj.name:
            entry["name"] = obj.name
        if obj.origin:
            entry["origin"] = obj.origin
        written.append(entry)
    text = json.dumps({"version": VERSION, "space": "voxel", "objects": written}, indent=1, ensure_ascii=False)
    return write_text(target, text + "\n", overwrite=overwrite)


def _as_json(prompt: Prompt, object_id: int, volume: Volume, target: Path, overwrite: bool) -> dict[str, Any]:
    if isinstance(prompt, Point):
        entry: dict[str, Any] = {"point": list(prompt.voxel)}
        if not prompt.positive:
            entry["positive"] = False
        return entry
    if isinstance(prompt, Box):
        return {"box": [list(corner) for corner in prompt.corners]}
    name = f"{target.stem}_object{object_id}_{'ijk'[prompt.axis]}{prompt.index}.nii.gz"
    full = np.zeros(volume.shape, dtype=np.uint8)
    np.moveaxis(full, prompt.axis, 0)[prompt.index] = prompt.mask
    write_labels(full, volume, target.with_name(name), overwrite=overwrite)
    return {"mask": name, "axis": prompt.axis, "slice": prompt.index}
