"""Finding DICOM images in a folder, and telling series apart.

By their tags alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import EnvironmentLacksError, ImageFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Series",
    "begins_dicom",
    "choose_series",
    "find_series",
    "invalid_tags",
    "is_dicom",
    "quiet",
    "read_dataset",
    "read_tags",
    "require_pydicom",
    "without_copies",
]

_PREAMBLE: Final = 128
_SHORTEST: Final = 64
_FIRST_VRS: Final = (b"UL", b"UI", b"CS", b"OB", b"DA", b"TM", b"SH", b"LO")
_LARGEST_FIRST_ELEMENT: Final = 0x0020
_LONGEST_FIRST_VALUE: Final = 256
"""What the first element of a file without preamble may be: a group length, version, character set, image type,
date or UID."""

_NOT_IMAGES: Final = frozenset({"SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC", "AU", "ECG"})
"""Modalities whose objects refer to images instead of being ones to segment."""

_NUMBERS: Final = (
    "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "RescaleSlope", "RescaleIntercept", "ImagerPixelSpacing",
)  # fmt: skip
_SHOWN: Final = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "RescaleSlope",
    "RescaleIntercept",
)  # fmt: skip
"""Tags that say what an image shows and where."""

_CONVERTED: Final = (
    *_NUMBERS, "InstanceNumber", "AcquisitionNumber", "SeriesInstanceUID", "SOPInstanceUID", "Modality",
    "PhotometricInterpretation", "BurnedInAnnotation", "EchoTime", "EchoNumbers", "TemporalPositionIdentifier",
    "DiffusionBValue", "TriggerTime", "AcquisitionTime", "ImageType",
)  # fmt: skip
"""Tags that are converted while reading, to find the one that cannot be."""


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
    copies : int
        Files left out because they hold an image that another one of the series holds.
    """

    uid: str
    modality: str
    rows: int
    columns: int
    datasets: tuple[tuple[Path, Any], ...]
    copies: int = 0

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
    """Hold back what pydicom and highdicom warn and log about odd values.

    They quote them.

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
    """Whether a file begins as DICOM does, with or without the preamble."""
    with path.open("rb") as file:
        return begins_dicom(file.read(_PREAMBLE + 4))


def begins_dicom(first: bytes) -> bool:
    """Whether the first bytes of a file are those of DICOM.

    It takes 132 of them, or more.

    Without the preamble, as old archives and network dumps have it, a file begins with its first element: one
    of the groups 0002 or 0008 in little endian, with a value representation or a short length.
    """
    if first[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return True
    group, element = int.from_bytes(first[0:2], "little"), int.from_bytes(first[2:4], "little")
    if group not in (2, 8) or element > _LARGEST_FIRST_ELEMENT or len(first) < _SHORTEST:
        return False
    if first[4:6] in _FIRST_VRS:
        return int.from_bytes(first[6:8], "little") <= _LONGEST_FIRST_VALUE
    return int.from_bytes(first[4:8], "little") <= _LONGEST_FIRST_VALUE


def find_series(path: str | os.PathLike[str]) -> list[Series]:
    """List the image series of a folder, or of one file.

    Folders inside it are searched too.

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


def choose_series(all_series: list[Series], choice: str | int | None, name: str) -> Series:
    """Take the only series, or the wanted one.

    Parameters
    ----------
    all_series : list of Series
        From `find_series`.
    choice : str or int, optional
        Place in that list, counted from 1, or a SeriesInstanceUID.
    name : str
        Of the folder, for messages.

    Raises
    ------
    ImageFileError
        If nothing or something unknown is chosen from several; the message lists them.
    """
    listing = "; ".join(f"{number}: {series}" for number, series in enumerate(all_series, start=1))
    if choice is None:
        if len(all_series) == 1:
            return all_series[0]
        raise ImageFileError(
            f"{name} holds {len(all_series)} series; choose one with --series N (series=N in Python): {listing}."
        )
    for number, series in enumerate(all_series, start=1):
        if str(choice) in (str(number), series.uid):
            return series
    raise ImageFileError(f"{name} has no series {choice}; it holds {listing}.")


def read_tags(path: Path) -> Any:
    """The tags of a DICOM file without its pixels.

    None if it is something else.

    Raises
    ------
    ImageFileError
        If it begins like DICOM but is damaged.
    """
    require_pydicom()
    if path.name.upper() == "DICOMDIR" or not is_dicom(path):
        return None
    try:
        with quiet():
            return read_dataset(path, stop_before_pixels=True)
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageFileError(f"{path.name} is damaged: its DICOM tags cannot be read; copy it again.") from error


def read_dataset(path: Path, *, stop_before_pixels: bool = False) -> Any:
    """A DICOM file as pydicom reads it.

    Also without preamble or file meta information.

    Without the latter it is uncompressed, and its own bytes say how (PS3.10 7.1 has no default).
    """
    pydicom = require_pydicom()
    dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        is_implicit, _ = dataset.original_encoding
        uids = pydicom.uid
        dataset.file_meta.TransferSyntaxUID = (
            uids.ImplicitVRLittleEndian if is_implicit else uids.ExplicitVRLittleEndian
        )
    return dataset


def _find_series(place: Path) -> list[Series]:
    by_uid: dict[str, list[tuple[Path, Any]]] = defaultdict(list)
    for file in [place] if place.is_file() else _files(place):
        tags = read_tags(file)
        if tags is None:
            continue
        try:
            if "Rows" in tags and tags.get("Modality") not in _NOT_IMAGES:
                int(tags.Rows), int(tags.Columns), str(tags.get("SOPInstanceUID"))
                by_uid[str(tags.get("SeriesInstanceUID", ""))].append((file, tags))
        except Exception as error:  # values are converted here, and pydicom raises many kinds
            raise invalid_tags(file, tags) from error
    if not by_uid:
        raise ImageFileError(f"{place.name} holds no DICOM images; choose the folder with the series itself.")
    ordered = sorted(by_uid.items(), key=lambda item: (_number(item[1][0][1]), item[0]))
    series = []
    for uid, datasets in ordered:
        first = datasets[0][1]
        modality = str(first.get("Modality", "") or "")
        single = without_copies(datasets)
        copies = len(datasets) - len(single)
        series.append(Series(uid, modality, int(first.Rows), int(first.Columns), tuple(single), copies))
    return series


def without_copies(datasets: Sequence[tuple[Path, Any]]) -> list[tuple[Path, Any]]:
    """Leave out files that hold an image again.

    SOPInstanceUID is unique to one.

    Raises
    ------
    ImageFileError
        If two files of one UID hold different pixels or lie at different places, so that one of them was changed.
    """
    kept: dict[str, tuple[Path, Any]] = {}
    single: list[tuple[Path, Any]] = []
    for path, tags in datasets:
        uid = str(tags.get("SOPInstanceUID") or "")
        if not uid or uid not in kept:
            single.append((path, tags))
            kept.setdefault(uid, (path, tags))
            continue
        twin, its_tags = kept[uid]
        if _image_hash(twin, its_tags) != _image_hash(path, tags):
            raise ImageFileError(
                f"{twin.name} and {path.name} claim to be the same image (one SOPInstanceUID) but differ; keep the "
                "right one."
            )
    return single


def _image_hash(path: Path, tags: Any) -> str:
    """A hash of what an image shows and where; two copies that were only compressed differently differ."""
    digest = hashlib.sha256()
    try:
        for keyword in _SHOWN:
            digest.update(repr(tags.get(keyword)).encode())
    except Exception as error:  # values are converted here, and pydicom raises many kinds
        raise invalid_tags(path, tags) from error
    try:
        digest.update(bytes(read_dataset(path).get("PixelData") or b""))
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise ImageFileError(f"{path.name} is damaged and cannot be read; copy it again.") from error
    return digest.hexdigest()


def invalid_tags(path: Path, tags: Any = None) -> ImageFileError:
    """The error for values that are none, naming the tag.

    What pydicom says of its value may quote the patient.
    """
    keyword = next((k for k in _CONVERTED if tags is not None and not _converts(tags, k)), None)
    which = "tags that are" if keyword is None else f"a value of {keyword} that is"
    return ImageFileError(f"{path.name} has {which} not valid DICOM; copy or export it again.")


def _converts(tags: Any, keyword: str) -> bool:
    try:
        value = tags.get(keyword)
        if keyword in _NUMBERS and value not in (None, ""):
            [float(v) for v in (value if hasattr(value, "__iter__") and not isinstance(value, str) else [value])]
    except Exception:  # pydicom raises many kinds
        return False
    return True


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
