"""Writing a prompt file, as `napari_sam2.io.prompt_file` reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.prompts import Box, ObjectPrompts, Point, Prompt
from napari_sam2.io.atomic import check_folder, check_free, write_text
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.io.labels import write_labels
from napari_sam2.io.prompt_file import VERSION

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["write_prompt_file"]


def write_prompt_file(
    objects: Sequence[ObjectPrompts],
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
) -> Path:
    """Write prompts so that `read_prompt_file` gives them back exactly.

    Masks become label maps beside the file, named after it, the object and the slice; so do objects that are given as a
    whole.

    Parameters
    ----------
    objects : sequence of ObjectPrompts
        What is written.
    volume : Volume
        The scan that they belong to.
    path : path-like
        The file.
    overwrite : bool
        Whether files of these names may be replaced.
    inputs : iterable of Path
        Files that are never replaced.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If a file cannot be written, or exists and may not be replaced; all names are looked at before any is written.
    """
    target = Path(path)
    check_folder(target)
    masks: dict[str, NDArray[np.bool_]] = {}
    written = [_as_json(obj, volume, target.stem, masks) for obj in objects]
    files = {target.with_name(name): mask for name, mask in masks.items()}
    refuse_inputs_as_outputs(inputs, [target, *files])
    for file in (target, *files):
        check_free(file, overwrite=overwrite)
    for file, mask in files.items():
        write_labels(mask.astype(np.uint8), volume, file, overwrite=overwrite)
    text = json.dumps({"version": VERSION, "space": "voxel", "objects": written}, indent=1, ensure_ascii=False)
    return write_text(target, text + "\n", overwrite=overwrite)


def _as_json(obj: ObjectPrompts, volume: Volume, stem: str, masks: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """An object of the file; its masks are added to those by name."""
    entry: dict[str, Any] = {"id": obj.object_id}
    name = f"{stem}_object{obj.object_id}"
    if obj.whole is None:
        entry["prompts"] = [_prompt(prompt, name, volume, masks) for prompt in obj.prompts]
    else:
        entry["labels"] = f"{name}.nii.gz"
        masks[entry["labels"]] = obj.whole
    return entry | {key: text for key, text in (("name", obj.name), ("origin", obj.origin)) if text}


def _prompt(prompt: Prompt, name: str, volume: Volume, masks: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    if isinstance(prompt, Point):
        entry: dict[str, Any] = {"point": list(prompt.voxel)}
        if not prompt.positive:
            entry["positive"] = False
        return entry
    if isinstance(prompt, Box):
        return {"box": [list(corner) for corner in prompt.corners]}
    file = f"{name}_{'ijk'[prompt.axis]}{prompt.index}.nii.gz"
    full = np.zeros(volume.shape, dtype=bool)
    np.moveaxis(full, prompt.axis, 0)[prompt.index] = prompt.mask
    masks[file] = full
    return {"mask": file, "axis": prompt.axis, "slice": prompt.index}
