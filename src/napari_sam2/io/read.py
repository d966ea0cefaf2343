"""Opening any supported image: the content decides which format it is."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import ImageFileError
from napari_sam2.io.payload import existing_file, is_gzip, peek

if TYPE_CHECKING:
    from napari_sam2.core.volume import Volume

__all__ = ["READABLE", "read_volume"]

READABLE: Final = "NIfTI, NRRD, MetaImage, MGH/MGZ, DICOM, PNG, JPEG and TIFF"
_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NIFTI_NAMES: Final = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_ENOUGH: Final = 540


def read_volume(
    path: str | os.PathLike[str], *, volume_index: int | None = None, series: str | int | None = None
) -> Volume:
    """Read an image or volume of any supported format.

    Parameters
    ----------
    path : path-like
        A file, or a folder with one DICOM series.
    volume_index : int, optional
        Which volume of a file that holds several, counted from 0.
    series : str or int, optional
        Which series of a DICOM folder that holds several: its place in the list, from 1, or its UID.

    Returns
    -------
    Volume
        In stored order; its `source` names the file and holds notes about anything odd in it.

    Raises
    ------
    ImageFileError
        If the file is missing, damaged, or of a kind that is not supported.
    GeometryError
        If its geometry cannot be used.
    EnvironmentLacksError
        If the format needs an optional package that is not installed.
    """
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, takes names that are too long
        file, kind = Path(path), "dicom"
    else:
        file = existing_file(path)
        kind = _kind_of(file)
    read = getattr(import_module(f"napari_sam2.io.{kind}"), f"read_{kind}")
    choices = {"series": series} if kind == "dicom" else {}
    volume: Volume = read(file, volume_index=volume_index, **choices)
    return volume


def _kind_of(file: Path) -> str:
    """The module that reads a file: by its content, or by its name where the content says nothing."""
    first = peek(file, _ENOUGH)
    name = file.name.lower()
    if _is_nifti(first) or name.endswith(_NIFTI_NAMES):
        return "nifti"
    if first.startswith(b"NRRD"):
        return "nrrd"
    if b"ElementDataFile" in first or b"ObjectType" in first or name.endswith((".mha", ".mhd")):
        return "metaimage"
    if name.endswith((".mgh", ".mgz", ".mgh.gz")):
        return "mgh"
    if first[128:132] == b"DICM":
        return "dicom"
    if not is_gzip(file) and first.startswith(_PICTURES):
        return "picture"
    raise ImageFileError(f"{file.name} is of a kind that cannot be read; supported are {READABLE}.")


def _is_nifti(first: bytes) -> bool:
    return first[344:347] in (b"n+1", b"ni1") or first[4:7] in (b"n+2", b"ni2")
