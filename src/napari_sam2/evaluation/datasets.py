"""Folders of labelled scans.

BIDS derivatives, nnU-Net, the challenge's npz files, or a table of one's own.
"""

from __future__ import annotations

import csv
import functools
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.channels.mix import AUTO
from napari_sam2.channels.opening import read_stack
from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.evaluation.bids_folder import labelled_images
from napari_sam2.evaluation.cases import Case, largest_component
from napari_sam2.io.channel_file import ChannelFile, channel_files, is_the_scan
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.read import read_only_volume

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.window import Window

__all__ = ["LabelledScan", "cases_of", "find_scans"]

COLUMNS: Final = ("case", "image", "labels", "ids", "names", "subject", "part")
"""Columns of a table; the first three are needed."""

CHANNEL: Final = re.compile(r"channel_\d{1,4}")
"""Further columns, for channels beside the image."""

PARTS: Final = ("", "all", "largest")
"""Whether a label's largest connected part counts alone: for lesions that share one label."""


@dataclass(frozen=True, slots=True)
class LabelledScan:
    """A scan with known labels, not read yet.

    Attributes
    ----------
    case : str
        Its name, unique in the set.
    image, labels : Path
        The same file for the challenge's npz.
    ids : tuple of int
        Which labels count; all when it is empty.
    names : mapping of int to str
        What they are called, beside the names that the label file holds.
    subject : str
        The person.
    largest_part : bool
        Only the largest connected part of each label counts.
    channels : tuple of ChannelFile
        Further channels of the scan.
    """

    case: str
    image: Path
    labels: Path
    ids: tuple[int, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    subject: str = ""
    largest_part: bool = False
    channels: tuple[ChannelFile, ...] = ()

    def read(self) -> tuple[Volume, NDArray[np.integer], dict[int, str]]:
        """Volume, label map (I, J, K) and names that count."""
        if self.image.suffix == ".npz":
            volume, labels = _read_npz(self.image)
            names: dict[int, str] = {}
        else:
            volume = read_only_volume(self.image)
            labels, names = read_named_labels(self.labels, volume)
        present = sorted({int(i) for i in np.unique(labels)} - {0})
        missing = [i for i in self.ids if i not in present]
        if missing:
            raise UserInputError(f"{self.case}: the labels hold no id {missing[0]}; correct the column 'ids'.")
        ids = self.ids or present
        return volume, labels, {i: self.names.get(i) or names.get(i) or f"object {i}" for i in ids}


def find_scans(place: Path, root: Path | None = None, channels: Collection[str] = ()) -> list[LabelledScan]:
    """The labelled scans of a folder or a table.

    Parameters
    ----------
    place : Path
        A CSV table with the columns ``case, image, labels`` and, if wanted, ``ids`` (``1;5``), ``names``
        (``spleen;liver``), ``subject``, ``part`` (``largest``), ``channel_1`` and so on; an nnU-Net data set
        (``imagesTr``, ``labelsTr``, ``dataset.json``), where ``case_0001`` is a further channel of ``case_0000``; a
        folder of npz files with ``imgs``, ``gts`` and ``spacing``; or a BIDS folder with ``*_dseg.nii.gz`` anywhere
        below it.
    root : Path, optional
        What paths of a table are relative to; the table's folder by default.
    channels : collection of str
        Suffixes of images of a BIDS folder that are channels of others, so that no label map is of them.

    Raises
    ------
    UserInputError
        If it is none of these, or a table has faults: all are listed with their lines; or a label map of a BIDS folder
        may belong to several images.
    """
    if place.is_file() and place.suffix.lower() == ".csv":
        return _from_table(place, root or place.parent)
    if not place.is_dir():
        raise UserInputError(f"{place.name}: give a folder of labelled scans, or a table that ends in .csv.")
    for find in (_from_nnunet, _from_npz, functools.partial(_from_bids, channels=channels)):
        scans = find(place)
        if scans:
            return scans
    raise UserInputError(
        f"{place.name} holds no labelled scans: neither imagesTr and labelsTr, nor .npz files, nor *_dseg.nii.gz."
    )


def cases_of(
    scan: LabelledScan,
    window: str = "auto",
    *,
    register: str = "",
    fusion: str = AUTO,
    say: Callable[[str], None] = lambda note: None,
) -> Iterator[Case]:
    """One case for every label of a scan that counts.

    The whole label is the truth, unless the scan says otherwise.

    Parameters
    ----------
    scan : LabelledScan
        The scan.
    window : str
        See `napari_sam2.core.window.choose_window`.
    register, fusion
        For its further channels, as in `napari_sam2.jobs.segment.segment_scan`.
    say : callable
        Told what a person should know of them.
    """
    from napari_sam2.core.window import choose_window

    volume, labels, names = scan.read()
    chosen: Window = choose_window(volume, window)
    axis = volume.default_slice_axis
    stack = read_stack(volume, scan.channels, register=register, say=say) if scan.channels else None
    for label_id, name in names.items():
        truth = np.asarray(labels == label_id)
        truth = largest_component(truth) if scan.largest_part else truth
        areas = truth.sum(tuple(a for a in range(3) if a != axis))
        yield Case(scan.case, name, volume, chosen, truth, axis, int(areas.argmax()), stack, fusion)


def _from_table(table: Path, root: Path) -> list[LabelledScan]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageFileError(f"{table.name} cannot be read as a CSV table in UTF-8.") from error
    faults: list[str] = []
    scans: list[LabelledScan] = []
    names_so_far: set[str] = set()
    found = {str(key) for row in rows for key in row}
    channels = sorted((key for key in found if CHANNEL.fullmatch(key)), key=lambda key: int(key.partition("_")[2]))
    unknown = sorted(found - set(COLUMNS) - set(channels))
    if unknown:
        faults.append(f"{table.name}: there is no column {unknown[0]!r}; known are {', '.join(COLUMNS)}.")
    if not rows:
        faults.append(f"{table.name} holds no scan.")
    for number, row in enumerate(rows, start=2):
        cells = {key: (row.get(key) or "").strip() for key in COLUMNS}
        faults += [f"{table.name}, line {number}: {fault}" for fault in _row_faults(cells, root, names_so_far)]
        further = [replace(file, name=file.name or key) for key in channels for file in _channels_in(row[key], root)]
        faults += [
            f"{table.name}, line {number}: {file.name} {file.path.name} does not exist."
            for file in further
            if not file.path.exists()
        ]
        faults += [
            f"{table.name}, line {number}: {file.name} is the image itself; give another scan."
            for file in further
            if is_the_scan(file, root / cells["image"])
        ]
        names_so_far.add(cells["case"])
        if not faults:
            ids = tuple(int(part) for part in cells["ids"].split(";") if part.strip())
            names = [part.strip() for part in cells["names"].split(";")] if cells["names"] else []
            scans.append(
                LabelledScan(
                    cells["case"],
                    root / cells["image"],
                    root / cells["labels"],
                    ids,
                    dict(zip(ids, names, strict=False)),
                    cells["subject"],
                    cells["part"] == "largest",
                    tuple(further),
                )
            )
    if faults:
        raise UserInputError("\n".join(faults))
    return scans


def _channels_in(cell: str | None, root: Path) -> list[ChannelFile]:
    text = (cell or "").strip()
    return channel_files([text], root) if text else []


def _row_faults(cells: dict[str, str], root: Path, seen: set[str]) -> Iterator[str]:
    for key in COLUMNS[:3]:
        if not cells[key]:
            yield f"{key} is empty."
        elif key != "case" and not (root / cells[key]).exists():
            yield f"{key} {cells[key]} does not exist."
    if cells["case"] in seen:
        yield f"the case {cells['case']} comes twice."
    ids = [part.strip() for part in cells["ids"].split(";") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in ids):
        yield f"ids {cells['ids'][:40]}: give whole numbers with ';' between them."
    if cells["names"] and len(cells["names"].split(";")) != len(ids):
        yield "there must be as many names as ids."
    if cells["part"] not in PARTS:
        yield f"part {cells['part']}: give 'all' or 'largest'."


def _from_nnunet(folder: Path) -> list[LabelledScan]:
    images, labels, about = folder / "imagesTr", folder / "labelsTr", folder / "dataset.json"
    if not (images.is_dir() and labels.is_dir()):
        return []
    ending = ".nii.gz"
    names: dict[int, str] = {}
    if about.is_file():
        description = json.loads(about.read_text(encoding="utf-8"))
        ending = description.get("file_ending", ending)
        # Version 2 maps name to id (or to several, for regions); version 1 maps id to name.
        for key, value in description.get("labels", {}).items():
            if isinstance(value, int):
                names[value] = str(key)
            elif str(key).isdigit():
                names[int(key)] = str(value)
    scans = []
    for label_file in sorted(labels.glob(f"*{ending}")):
        case = label_file.name.removesuffix(ending)
        image = images / f"{case}_0000{ending}"
        image = image if image.exists() else images / label_file.name
        if image.exists():
            numbered = sorted(images.glob(f"{case}_000[1-9]{ending}"))
            channels = tuple(ChannelFile(file, f"channel_{n}") for n, file in enumerate(numbered, start=1))
            scans.append(LabelledScan(case, image, label_file, names=names, subject=case, channels=channels))
    return scans


def _from_npz(folder: Path) -> list[LabelledScan]:
    return [LabelledScan(file.stem, file, file) for file in sorted(folder.glob("*.npz"))]


def _from_bids(folder: Path, channels: Collection[str]) -> list[LabelledScan]:
    return [
        LabelledScan(labels.name.removesuffix("_dseg.nii.gz"), image, labels, subject=subject)
        for image, labels, subject in labelled_images(folder, channels)
    ]


def _read_npz(file: Path) -> tuple[Volume, NDArray[np.integer]]:
    """A case of the challenge: arrays in (z, y, x), spacing in the same order."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            images, labels, spacing = stored["imgs"], stored["gts"], np.asarray(stored["spacing"], float)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ImageFileError(f"{file.name} holds no readable arrays 'imgs', 'gts' and 'spacing'.") from error
    order = (2, 1, 0, 3)[: images.ndim]
    volume = Volume(np.transpose(images, order), np.diag([*spacing[::-1], 1.0]), False, Source(file.name, file))
    return volume, np.transpose(labels)
