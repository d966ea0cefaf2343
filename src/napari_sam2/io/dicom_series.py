"""Finding DICOM images in a folder and telling their series apart, by their tags alone."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import EnvironmentLacksError, ImageFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Series",
    "choose_series",
    "find_series",
    "invalid_tags",
    "is_dicom",
    "quiet",
    "read_tags",
    "require_pydicom",
]

_PREAMBLE: Final = 128

_NOT_IMAGES: Final = frozenset({"SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC", "AU", "ECG"})
"""Modalities whose objects refer to images instead of being ones to segment."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series, as its tags describe it.

    Attributes
    ----------
    uid : str
        SeriesInstanceUID.
    modality : str
        Such as ``"CT"``.
    rows, columns : int
        Size of its first image.
    datasets : tuple of (Path, Dataset)
        Files and their tags without pixels, sorted by name.
    """

    uid: str
    modality: str
    rows: int
    columns: int
    datasets: tuple[tuple[Path, Any], ...]

    def __str__(self) -> str:
        count = len(self.datasets)
        return f"{self.modality}, {count} file{'s' if count != 1 else ''} of {self.columns} x {self.rows} pixels"


def require_pydicom() -> Any:
    """Import pydicom, or say how to get it.

    Raises
    ------
    EnvironmentLacksError
        If it is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise EnvironmentLacksError('DICOM needs pydicom; install it with: pip install "napari-sam2[dicom]"') from error
    return pydicom


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what pydicom and highdicom warn and log about odd values: they quote them.

    Values are converted when they are looked at, so everything that touches a dataset belongs inside.
    """
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM prefix."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"


def find_series(path: str | os.PathLike[str]) -> list[Series]:
    """List the image series of a folder and the folders in it, or of one file.

    A DICOMDIR is passed over and not followed: it may point anywhere on the disk.

    Returns
    -------
    list of Series
        In the order of their numbers, then UIDs.

    Raises
    ------
    ImageFileError
        If there is no DICOM image.
    """
    place = Path(path)
    with quiet():
        return _find_series(place)


def choose_series(found: list[Series], wanted: str | int | None, name: str) -> Series:
    """Take the only series, or the wanted one.

    Parameters
    ----------
    found : list of Series
        From `find_series`.
    wanted : str or int, optional
        Place in that list, counted from 1, or a SeriesInstanceUID.
    name : str
        Of the folder, for messages.

    Raises
    ------
    ImageFileError
        If nothing or something unknown is chosen from several; the message lists them.
    """
    listing = "; ".join(f"{number}: {series}" for number, series in enumerate(found, start=1))
    if wanted is None:
        if len(found) == 1:
            return found[0]
        raise ImageFileError(
            f"{name} holds {len(found)} series; choose one with --series N (series=N in Python): {listing}."
        )
    for number, series in enumerate(found, start=1):
        if str(wanted) in (str(number), series.uid):
            return series
    raise ImageFileError(f"{name} has no series {wanted}; it holds {listing}.")


def read_tags(path: Path) -> Any:
    """The tags of a DICOM file without its pixels, or None if it is something else.

    Raises
    ------
    ImageFileError
        If it begins like DICOM but is damaged.
    """
    pydicom = require_pydicom()
    if path.name.upper() == "DICOMDIR" or not is_dicom(path):
        return None
    try:
        with quiet():
            return pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageFileError(f"{path.name} is damaged: its DICOM tags cannot be read; copy it again.") from error


def _find_series(place: Path) -> list[Series]:
    by_uid: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    for file in [place] if place.is_file() else _files(place):
        tags = read_tags(file)
        if tags is None:
            continue
        try:
            if "Rows" in tags and tags.get("Modality") not in _NOT_IMAGES:
                int(tags.Rows), int(tags.Columns)
                by_uid[str(tags.get("SeriesInstanceUID", ""))].append((file, tags))
        except Exception as error:  # values are converted here, and pydicom raises many kinds
            raise invalid_tags(file) from error
    if not by_uid:
        raise ImageFileError(f"{place.name} holds no DICOM images; choose the folder with the series itself.")
    ordered = sorted(by_uid.items(), key=lambda item: (_number(item[1][0][1]), item[0]))
    found = []
    for uid, datasets in ordered:
        first = datasets[0][1]
        modality = str(first.get("Modality", "") or "")
        found.append(Series(uid, modality, int(first.Rows), int(first.Columns), tuple(datasets)))
    return found


def invalid_tags(path: Path) -> ImageFileError:
    """The error for values that are none; what pydicom says of them may quote the patient."""
    return ImageFileError(f"{path.name} has tags that are not valid DICOM; copy or export it again.")


def _files(folder: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(folder):  # does not follow links to folders
        folders.sort()
        for name in sorted(names):
            file = Path(directory) / name
            if file.is_file() and not name.startswith("."):
                yield file


def _number(tags: Any) -> int:
    try:
        return int(tags.get("SeriesNumber") or 0)
    except Exception:  # pydicom raises many kinds; without a number the order is that of the UIDs
        return 0
