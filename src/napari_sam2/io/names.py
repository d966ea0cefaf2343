"""Names of files without their endings."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from napari_sam2.io.formats import all_suffixes, suffix_of

if TYPE_CHECKING:
    import os

__all__ = ["stem_of", "without_suffix"]


def stem_of(path: str | os.PathLike[str]) -> str:
    """A file's name without folder and ending: ``"liver"`` for ``scans/liver.nii.gz``; see `without_suffix`."""
    return without_suffix(PurePath(path).name)


def without_suffix(name: str) -> str:
    """A name of a file or layer without its ending.

    Any ending of `napari_sam2.io.formats` counts, whatever its case; a name with another one stays whole, since
    dots are common in names (``patient.001``).
    """
    suffix = suffix_of(name, all_suffixes())
    return name if suffix is None or len(suffix) == len(name) else name[: -len(suffix)]
