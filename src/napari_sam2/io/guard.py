"""The guard between what is read and what is written.

No input is ever an output.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_one_of", "refuse_inputs_as_outputs"]


def refuse_inputs_as_outputs(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse outputs that are inputs under any name.

    Or that would take inputs away with them.

    Links, spellings such as ``a/../b`` and, where the disk ignores it, letter case are seen through. Of a folder
    that is an input (a DICOM series, a session), every file is one.

    Raises
    ------
    UserInputError
        Naming the file.
    """
    existing = [path for path in inputs if os.path.lexists(path)]
    for output in outputs:
        if is_one_of(output, existing):
            raise UserInputError(f"{output.name} is one of the inputs and is never replaced; choose another output.")
        if not os.path.lexists(output):
            continue
        for path in existing:
            if output.is_file() and path.is_dir() and _lies_in(output, path):
                raise UserInputError(f"{output.name} lies in {path.name}, which is an input; choose another output.")
            if output.is_dir() and output.name.lower().endswith(REPLACED_FOLDERS) and _lies_in(path, output):
                raise UserInputError(
                    f"{path.name} lies in {output.name}, which would be replaced; choose another output."
                )


REPLACED_FOLDERS = (".ome.zarr",)
"""Endings of folders that are written as one, in place of an earlier one."""


def is_one_of(path: Path, others: Iterable[Path]) -> bool:
    """Whether a path is the same file as one of others.

    Or the same folder, by the disk's own identity.
    """
    for other in others:
        try:
            if path.samefile(other):
                return True
        except (OSError, ValueError):  # one of them is not there: compare where they would be
            if os.path.realpath(path) == os.path.realpath(other):
                return True
    return False


def _lies_in(path: Path, folder: Path) -> bool:
    return any(is_one_of(parent, [folder]) for parent in Path(os.path.realpath(path)).parents)
