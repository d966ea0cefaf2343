"""Finished scans of a project.

Which structures they hold, read when they are needed.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scipy import ndimage

from napari_sam2.core.window import choose_window
from napari_sam2.errors import UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.label_tables import find_terms
from napari_sam2.io.labels import WRITABLE, read_named_labels
from napari_sam2.io.manifest import read_manifest
from napari_sam2.io.read import read_only_volume
from napari_sam2.io.sidecar import sidecar_paths
from napari_sam2.registration import COARSE_VOXELS, copy_of
from napari_sam2.terms.naming import StructureName, is_lesion, meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import SimpleITK
    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.io.manifest import ManifestRow
    from napari_sam2.registration import Block

__all__ = ["Exemplar", "Exemplars", "exemplars_in"]

KEPT: Final = 4
"""Scans that stay in memory, the last used."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A finished scan: where its files are.

    Attributes
    ----------
    case : str
        What people may be told: the case of a manifest, or a hash.
    image : Path
        The scan.
    labels, session : Path, optional
        Its label map, or the folder of its session; one of them is there.
    named : dict of int to str
        What its manifest calls structures, by id; under 0 the only structure of a label map without names.
    """

    case: str
    image: Path
    labels: Path | None = None
    session: Path | None = None
    named: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A finished scan in memory.

    Attributes
    ----------
    volume, window
        The scan, and how its intensities are seen.
    labels : (I, J, K) int array
        Its structures.
    names : dict of int to StructureName
        What they are, by id; lesions are left out.
    blocks : dict of int to tuple of slice
        The smallest block that holds each structure.
    coarse : SimpleITK.Image
        The scan for a first registration.
    """

    volume: Volume
    window: Window
    labels: NDArray[np.integer]
    names: dict[int, StructureName]
    blocks: dict[int, Block]
    coarse: SimpleITK.Image


class Exemplars:
    """The finished scans of a project.

    Parameters
    ----------
    exemplars : iterable of Exemplar
        At least one.
    project : str
        What the project is called in sentences.
    """

    def __init__(self, exemplars: Iterable[Exemplar], project: str) -> None:
        self.all = tuple(exemplars)
        self.project = project
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._names: dict[str, dict[int, StructureName]] = {}
        self._hashes: dict[str, tuple[str, str]] = {}
        if not self.all:
            raise UserInputError(
                f"{project} holds no finished scan yet: segment one with care and name its structures."
            )

    @property
    def files(self) -> list[Path]:
        """All files that the exemplars are made of.

        For whoever must not write over them.
        """
        return [path for e in self.all for path in (e.image, e.labels, e.session) if path is not None]

    def names_of(self, exemplar: Exemplar) -> dict[int, StructureName]:
        """What an exemplar's structures are, by id.

        From its table where it has one, else from its files.
        """
        if exemplar.case not in self._names:
            terms = find_terms(exemplar.labels) if exemplar.labels is not None else {}
            if not terms or exemplar.named:
                return self.load(exemplar).names
            named = {i: meaning_of(t.name, t.code) for i, t in terms.items() if not is_lesion(t.name)}
            self._names[exemplar.case] = named
        return self._names[exemplar.case]

    def hashes_of(self, exemplar: Exemplar) -> tuple[str, str]:
        """SHA-256 of an exemplar's scan and of its labels or session."""
        if exemplar.case not in self._hashes:
            scan = (
                read_only_volume(exemplar.image).source.sha256 if exemplar.image.is_dir() else sha256_of(exemplar.image)
            )
            self._hashes[exemplar.case] = scan, sha256_of(_file_of(exemplar))
        return self._hashes[exemplar.case]

    def load(self, exemplar: Exemplar) -> Loaded:
        """Read an exemplar.

        Raises
        ------
        ImageFileError, GeometryError, UserInputError
            If its files cannot be read or do not fit each other.
        """
        if exemplar.case not in self._loaded:
            self._loaded[exemplar.case] = self._read(exemplar)
            while len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(exemplar.case)
        loaded = self._loaded[exemplar.case]
        self._names[exemplar.case] = loaded.names
        return loaded

    def _read(self, exemplar: Exemplar) -> Loaded:
        volume = read_only_volume(exemplar.image)
        window = choose_window(volume)
        labels, names = _labels_of(exemplar, volume)
        blocks = {i: block for i, block in enumerate(ndimage.find_objects(labels), start=1) if block is not None}
        there = list(blocks)
        absent = [f"{i}={name}" for i, name in exemplar.named.items() if i and i not in blocks]
        if absent:
            raise UserInputError(
                f"{_file_of(exemplar).name} of the case {exemplar.case} holds no voxel of {absent[0]}; correct the "
                "column 'name'."
            )
        only = exemplar.named.get(0, "")
        if len(there) == 1 and only and not names:
            names = {there[0]: meaning_of(only)}
        names |= {i: meaning_of(name) for i, name in exemplar.named.items() if i and not is_lesion(name)}
        named = {i: names[i] for i in there if i in names}
        return Loaded(volume, window, labels, named, blocks, copy_of(volume, window, COARSE_VOXELS))


def exemplars_in(project: Path) -> Exemplars:
    """The finished scans of a project.

    Parameters
    ----------
    project : Path
        A manifest, of which the lines with ``labels`` or ``session`` count; or a folder, in which every label map
        counts that this program wrote beside its scan.

    Raises
    ------
    ImageFileError, ManifestError, UserInputError
        If it cannot be read, or nothing in it is finished.
    """
    if project.is_dir():
        return Exemplars(_in_folder(project), project.name)
    return Exemplars(_of_rows(read_manifest(project)), project.name)


def _of_rows(rows: Sequence[ManifestRow]) -> list[Exemplar]:
    return [
        Exemplar(row.case, row.image, row.labels, row.session, row.names)
        for row in rows
        if row.labels is not None or row.session is not None
    ]


def _in_folder(folder: Path) -> list[Exemplar]:
    """Label maps with a sidecar that names a scan in the same folder; scans are known by their hashes."""
    found = []
    for labels in sorted(p for ending in WRITABLE for p in folder.rglob(f"*{ending}")):
        image = _image_of(labels)
        if image is not None:
            found.append(Exemplar(f"sha256:{sha256_of(labels)[:12]}", image, labels))
    return found


def _image_of(labels: Path) -> Path | None:
    try:
        facts = json.loads(sidecar_paths(labels)[0].read_text(encoding="utf-8"))
        name, sha256 = str(facts["Sources"][0]), str(facts["Source"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    image = labels.parent / Path(name).name
    return image if image.is_file() and sha256_of(image) == sha256 else None


def _labels_of(exemplar: Exemplar, volume: Volume) -> tuple[NDArray[np.integer], dict[int, StructureName]]:
    if exemplar.labels is not None:
        labels, names = read_named_labels(exemplar.labels, volume)
        terms = find_terms(exemplar.labels)
        meant = {i: meaning_of(name) for i, name in names.items() if not is_lesion(name)}
        meant |= {i: meaning_of(t.name, t.code) for i, t in terms.items() if i not in names and not is_lesion(t.name)}
        return labels, meant
    if exemplar.session is None:
        raise UserInputError(f"The case {exemplar.case} has neither labels nor a session.")
    from napari_sam2.models import load_model
    from napari_sam2.record.journal import restore
    from napari_sam2.session.session import Session

    session = Session(volume, load_model("classical"))
    restore(session, exemplar.session)
    objects = {i: o for i, o in session.objects.items() if o.name and not is_lesion(o.name)}
    return session.label_map(), {i: meaning_of(o.name, o.code) for i, o in objects.items()}


def _file_of(exemplar: Exemplar) -> Path:
    if exemplar.labels is not None:
        return exemplar.labels
    return (exemplar.session or exemplar.image) / "events.jsonl"
