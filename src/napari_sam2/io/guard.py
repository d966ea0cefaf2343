"""The guard between what is read and what is written.

No input is ever an output.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["files_named_in", "is_one_of", "refuse_inputs_as_outputs"]


def refuse_inputs_as_outputs(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse outputs that are inputs under any name.

    Or that would take inputs away with them.

    Links, spellings such as ``a/../b`` and, where the disk ignores it, letter case are seen through. Of a folder
    that is an input (a DICOM series, a session), every file is one; and into a folder that is one thing (OME-Zarr,
    a session) nothing new is put either.

    Raises
    ------
    UserInputError
        Naming the file.
    """
    existing = [path for path in inputs if os.path.lexists(path)]
    for output in outputs:
        if is_one_of(output, existing):
            raise UserInputError(f"{output.name} is one of the inputs and is never replaced; choose another output.")
        whole = next((folder for folder in _wholes(existing) if _lies_in(output, folder)), None)
        if whole is not None:
            raise UserInputError(f"{output.name} would be put into {whole.name}, an input; choose another output.")
        if not os.path.lexists(output):
            continue
        for path in existing:
            if output.is_file() and path.is_dir() and _lies_in(output, path):
                raise UserInputError(f"{output.name} lies in {path.name}, which is an input; choose another output.")
            if output.is_dir() and output.name.lower().endswith(REPLACED_FOLDERS) and _lies_in(path, output):
                raise UserInputError(
                    f"{path.name} lies in {output.name}, which would be replaced; choose another output."
                )


REPLACED_FOLDERS: Final = (".ome.zarr",)
"""Endings of folders that are written as one, in place of an earlier one."""

WHOLE_FOLDERS: Final = ("zarr.json", ".zattrs", ".zgroup", ".zarray", "session.json")
"""Files that mark a folder as one thing, a Zarr hierarchy or a session; its parts are marked as well."""


def files_named_in(text: str) -> list[Path]:
    """The files and folders that an argument's text names.

    Those that exist, alone (``region.geojson``), behind a kind or a name (``nuclei:region.geojson``,
    ``T2=t2.nii.gz``), and before a number (``series.nii.gz:1``).
    """
    spelled = (text, text.partition("=")[2], text.partition(":")[2])
    names = dict.fromkeys(name for part in spelled for name in (part, part.rpartition(":")[0]))
    return [Path(name) for name in names if name and os.path.lexists(name)]


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


def _wholes(inputs: Iterable[Path]) -> Iterator[Path]:
    """The folders that are one thing and that inputs are or lie in, the outermost of each."""
    for path in inputs:
        real = Path(os.path.realpath(path))
        outermost = None
        for folder in (real, *real.parents):
            if any((folder / mark).is_file() for mark in WHOLE_FOLDERS):
                outermost = folder
            elif outermost is not None or folder != real:
                break
        if outermost is not None:
            yield outermost


def _lies_in(path: Path, folder: Path) -> bool:
    return any(is_one_of(parent, [folder]) for parent in Path(os.path.realpath(path)).parents)
