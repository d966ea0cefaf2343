"""Finished scans to learn from.

They come from a manifest, a BIDS dataset, or folders of sessions. Each is read once before anything else happens, so
that every fault is told at once and by its line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.evaluation.datasets import find_scans
from napari_sam2.hashing import sha256_of
from napari_sam2.io.export import find_names
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.manifest import read_manifest
from napari_sam2.io.read import read_only_volume
from napari_sam2.record.journal_files import EVENTS, is_session, read_head
from napari_sam2.tuning.finished import finished_labels, finished_prompts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.volume import Volume

__all__ = ["FinishedScan", "find_cases"]

DATASET: Final = "dataset_description.json"


@dataclass(frozen=True, slots=True)
class FinishedScan:
    """A scan with what a person finished on it.

    Attributes
    ----------
    where : str
        Where it was named, for sentences: the manifest and its line, or a file.
    subject : str
        Whose scan it is; never written anywhere.
    image : Path
        The scan.
    labels, session : Path, optional
        Its label map, or the folder of its session.
    named : mapping of int to str
        Names that the manifest gives; where there are any, the other ids do not count.
    sha256, truth_sha256 : str
        Of the image, and of its labels or session.
    names : mapping of int to str
        The structures that count, by id.
    """

    where: str
    subject: str
    image: Path
    labels: Path | None = None
    session: Path | None = None
    named: Mapping[int, str] = field(default_factory=dict)
    sha256: str = ""
    truth_sha256: str = ""
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What results call it: the beginning of the image's hash."""
        return self.sha256[:12]

    def read(self) -> tuple[Volume, NDArray[np.integer], dict[int, str]]:
        """The scan, its labels (I, J, K) and their names.

        Only labels with a name count.

        Raises
        ------
        UserInputError
            In one sentence, without the place.
        """
        volume = read_only_volume(self.image)
        if self.session is not None:
            labels, names = finished_labels(volume, self.session)
            return volume, labels, names
        if self.labels is None:
            raise UserInputError("there is neither a label map nor a session.")
        labels, own = read_named_labels(self.labels, volume)
        present = {int(number) for number in np.unique(labels)} - {0}
        return volume, labels, _names_of(self.labels.name, present, self.named, own or find_names(self.labels))

    def prompts(self, volume: Volume) -> dict[int, tuple[Prompt, ...]]:
        """What a person gave for each structure, by id.

        Nothing where there is only a label map. `volume` is the scan as `read` gives it.
        """
        return {} if self.session is None else finished_prompts(volume, self.session)


def find_cases(sources: Sequence[Path]) -> tuple[FinishedScan, ...]:
    """Find the finished scans, and read each of them once.

    Parameters
    ----------
    sources : sequence of Path
        One manifest with the columns ``case``, ``image`` and ``labels`` or ``session`` (``subject`` is the case where
        it is missing; ``name`` may give names as ``1=liver;2=spleen``), or one BIDS dataset with ``*_dseg`` files, or
        folders of sessions that lie beside their images.

    Returns
    -------
    tuple of FinishedScan
        With hashes and names.

    Raises
    ------
    ManifestError
        With one sentence for every scan that cannot be used, and its line.
    UserInputError
        If `sources` is none of these.
    """
    scans = list(_found(sources))
    checked: list[FinishedScan] = []
    faults: list[str] = []
    for scan in scans:
        try:
            checked.append(_checked(scan))
        except UserInputError as error:
            faults += [f"{scan.where}: {sentence}" for sentence in str(error).splitlines()]
    faults += _one_image_of_two(checked)
    if faults:
        raise ManifestError(faults)
    return tuple(checked)


def _one_image_of_two(scans: Sequence[FinishedScan]) -> Iterator[str]:
    """A sentence for each image that is given under two subjects: one of them could judge what the other taught."""
    first: dict[str, FinishedScan] = {}
    for scan in scans:
        other = first.setdefault(scan.sha256, scan)
        if other.subject != scan.subject:
            yield f"{scan.where}: {scan.image.name} is given for another subject in {other.where}; give both the same."


def _found(sources: Sequence[Path]) -> Iterator[FinishedScan]:
    if sources and all(is_session(source) for source in sources):
        for folder in sources:
            image = _image_beside(folder)
            yield FinishedScan(folder.name, image.name, image, session=folder)
        return
    if len(sources) != 1:
        raise UserInputError("Give one manifest (.csv), one BIDS dataset, or folders of sessions.")
    if sources[0].is_dir():
        if not (sources[0] / DATASET).is_file():
            raise UserInputError(f"{sources[0].name} holds neither {DATASET} nor a session; give a manifest (.csv).")
        for scan in find_scans(sources[0]):
            yield FinishedScan(scan.labels.name, scan.subject, scan.image, scan.labels)
        return
    for row in read_manifest(sources[0], needs=[("labels", "session")]):
        where = f"{sources[0].name}, line {row.line}"
        if row.channels:
            raise ManifestError([f"{where}: tuning learns from one image; leave out the columns of further channels."])
        session = None if row.labels else row.session
        yield FinishedScan(where, row.subject or row.case, row.image, row.labels, session, row.names)


def _checked(scan: FinishedScan) -> FinishedScan:
    """The scan with its hashes and names; whatever is wrong with it shows now."""
    volume, labels, names = scan.read()
    truth = scan.labels or (scan.session / EVENTS if scan.session else scan.image)
    empty = [name for label_id, name in names.items() if not (labels == label_id).any()]
    if empty or not names:
        raise UserInputError(f"{truth.name} holds no voxel of {empty[0] if empty else 'any structure'}; correct it.")
    return FinishedScan(
        scan.where, scan.subject, scan.image, scan.labels, scan.session, scan.named, volume.source.sha256,
        sha256_of(truth), names,
    )  # fmt: skip


def _names_of(file: str, present: set[int], named: Mapping[int, str], own: Mapping[int, str]) -> dict[int, str]:
    """Names of the structures that count, from the manifest first."""
    if not present:
        raise UserInputError(f"{file} is empty; leave the scan out, or finish it first.")
    if set(named) == {0}:
        if len(present) > 1:
            raise UserInputError(f"{file} holds {len(present)} ids for the one name {named[0]!r}; give 1=NAME;2=NAME.")
        return {present.pop(): named[0]}
    if named:
        missing = sorted(set(named) - present)
        if missing:
            raise UserInputError(f"{file} holds no id {missing[0]} ({named[missing[0]]}); correct the column 'name'.")
        return dict(sorted(named.items()))
    nameless = sorted(present - {label_id for label_id, name in own.items() if name})
    if nameless:
        ids = ", ".join(str(number) for number in nameless[:5])
        raise UserInputError(
            f"{file} holds ids without names ({ids}); write them in the column 'name', such as "
            f"{nameless[0]}=liver, or in a table {file.partition('.')[0]}.tsv beside it."
        )
    return {number: own[number] for number in sorted(present)}


def _image_beside(session: Path) -> Path:
    """The image of a session, by its hash, in the folder that holds the session."""
    digest = read_head(session)["source"].get("sha256")
    for path in sorted(session.resolve().parent.iterdir()):
        if path.is_file() and not path.name.startswith(".") and os.access(path, os.R_OK) and sha256_of(path) == digest:
            return path
    raise UserInputError(f"{session.name}: its image does not lie beside it; give a manifest with image and session.")
