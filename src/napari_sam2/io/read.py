"""Opening any supported image: the content decides which format it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.io.formats import FORMATS, Format, function, readable
from napari_sam2.io.payload import existing_file, is_gzip, peek
from napari_sam2.io.zarr_store import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam2.core.volume import Volume

__all__ = ["READABLE", "check_image", "files_of_image", "formats_of", "read_only_volume", "read_volume"]

READABLE: Final = readable()
_ENOUGH: Final = 540


def read_volume(
    path: str | os.PathLike[str], *, volume_index: int | None = None, series: str | int | None = None
) -> Volume:
    """Read an image or volume of any supported format.

    Parameters
    ----------
    path : path-like
        A file, a folder with one DICOM series, or an OME-Zarr folder.
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
        file = Path(path)
        row = next(row for row in FORMATS if (row.is_folder and row.read if is_zarr(file) else row.series))
    else:
        file = existing_file(path)
        row = _image_format_of(file)
    choices = {"series": series} if row.series else {}
    volume: Volume = function(row.read)(file, volume_index=volume_index, **choices)
    return volume


def read_only_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a file of one volume.

    A table of scans names such files.

    Raises
    ------
    ImageFileError, GeometryError, EnvironmentLacksError
        As `read_volume`; where several could be meant, there is no ``--volume`` or ``--series`` to choose one with.
    """
    try:
        return read_volume(path)
    except (ImageFileError, GeometryError) as error:
        several, choose, _ = str(error).partition("; choose one")
        if not choose:
            raise
        raise ImageFileError(f"{several}; in a table of scans give a file that holds the one that is meant.") from error


def check_image(path: str | os.PathLike[str]) -> None:
    """Refuse what cannot be an image.

    Missing, empty, or of an unknown kind. Its content is not read.

    Raises
    ------
    ImageFileError
        Saying what is wrong.
    """
    if not os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, takes names that are too long
        _image_format_of(existing_file(path))
        return
    folder = Path(path)
    if is_zarr(folder):
        return
    if not any(_is_of_series(file) for file in folder.rglob("*")):
        raise ImageFileError(f"{folder.name or folder} is a folder without DICOM files; give the scan's file.")


def _is_of_series(file: Path) -> bool:
    try:
        return file.is_file() and any(row.series for row in formats_of(file))
    except ImageFileError:  # a damaged file beside a series is not an image of it
        return False


def files_of_image(path: Path) -> tuple[Path, ...]:
    """All files that an image consists of.

    Header and data, or every file of a folder; the content is not checked.

    Parameters
    ----------
    path : Path
        A file, or a folder with a DICOM series.

    Returns
    -------
    tuple of Path
        The file itself first; of a folder, in the order of names.
    """
    if path.is_dir():
        return tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    try:
        row = next((row for row in formats_of(path) if row.files), None)
        return function(row.files)(path) if row is not None else (path,)
    except ImageFileError:
        return (path,)  # whoever reads it says what is wrong


def _image_format_of(file: Path) -> Format:
    row = next((row for row in formats_of(file) if row.read), None)
    if row is not None:
        return row
    raise ImageFileError(f"{file.name} is of a kind that cannot be read; supported are {READABLE}.")


def formats_of(file: Path) -> Iterator[Format]:
    """Formats a file may have, by content and name, likeliest first."""
    first, name, packed = peek(file, _ENOUGH), file.name.lower(), is_gzip(file)
    for row in FORMATS:
        if packed and not row.gzipped:
            continue
        named = row.by_name and name.endswith((*row.suffixes, *row.also))
        if named or (row.magic is not None and row.magic(first)):
            yield row
