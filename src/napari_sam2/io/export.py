"""A label map on disk to another format, with the names that lie beside it or in it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.labels import consecutive_ids
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import check_folder, write_text
from napari_sam2.io.label_tables import find_terms, write_itksnap_labels, write_slicer_colours
from napari_sam2.io.labels import WRITABLE, read_named_labels, write_labels
from napari_sam2.io.read import read_volume
from napari_sam2.io.sidecar import sidecar_paths
from napari_sam2.terms.structures import Structure, structures_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = ["EXPORTABLE", "Exported", "export_labels", "find_names", "notices_before"]

EXPORTABLE: Final = (".nii.gz", ".nii", ".seg.nrrd", ".dcm", ".ome.zarr", ".txt", ".ctbl")
"""Label maps, Slicer segmentation, DICOM SEG, OME-Zarr labels, ITK-SNAP's label description, Slicer's colours."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export made.

    Attributes
    ----------
    path : Path
        The file.
    structures : tuple of Structure
        What is in it, with its ids in the source.
    mapping : dict of int to int
        Id in the source -> id in the file, where they were numbered anew; else empty.
    """

    path: Path
    structures: tuple[Structure, ...]
    mapping: dict[int, int]


def export_labels(
    labels_path: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    names: Mapping[int, str] | None = None,
    consecutive: bool = False,
    labelmap: bool = False,
    series: str | int | None = None,
    volume_index: int | None = None,
    overwrite: bool = False,
) -> Exported:
    """Convert a label map.

    Parameters
    ----------
    labels_path : path-like
        A label map in any readable format.
    reference : path-like
        The image it lies on; a DICOM folder when a DICOM SEG is wanted.
    output : path-like
        The file to make; its ending, one of `EXPORTABLE`, says the format.
    names : mapping of int to str, optional
        Names by id; by default those in the file or in the ``.tsv`` beside it.
    consecutive : bool
        Number ids from 1 without gaps, as nnU-Net demands; the mapping is kept beside the file.
    labelmap : bool
        A DICOM SEG of type LABELMAP instead of BINARY.
    series, volume_index
        Which part of the reference, see `read_volume`.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserInputError
        If the ending is unknown, or the output is one of the inputs or cannot be written.
    ImageFileError, GeometryError
        If a file cannot be read, or labels and reference do not fit.
    EnvironmentLacksError
        If an optional package is missing or the disk is full.
    """
    target, source = Path(output), Path(labels_path)
    ending = next((e for e in EXPORTABLE if target.name.lower().endswith(e)), None)
    if ending is None:
        raise UserInputError(f"{target.name}: the ending must be one of {', '.join(EXPORTABLE)}.")
    check_folder(target)
    for other in (source, Path(reference)):
        if target.exists() and other.exists() and target.samefile(other):
            raise UserInputError(f"{target.name} is one of the inputs; choose another name.")
    volume = read_volume(reference, series=series, volume_index=volume_index)
    labels, own_names = read_named_labels(source, volume)
    structures = tuple(structures_for(np.unique(labels).tolist(), names or own_names, find_terms(source)))
    mapping: dict[int, int] = {}
    if consecutive:
        labels, mapping = consecutive_ids(labels)
    in_file = [Structure(mapping.get(s.label_id, s.label_id), s.name, s.colour, s.code) for s in structures]
    if ending in WRITABLE:
        write_labels(labels, volume, target, overwrite=overwrite)
    elif ending == ".dcm":
        mapping = _dicom_seg(labels, volume, target, in_file, source, labelmap, overwrite)
    else:
        _by_ending(ending, labels, volume, target, in_file, overwrite)
    if consecutive:
        _write_mapping(target, structures, mapping, overwrite)
    return Exported(target, structures, mapping)


def notices_before(output: str | os.PathLike[str]) -> tuple[str, ...]:
    """What a person should know before `output` is written: sentences, often none."""
    if not os.fspath(output).lower().endswith(".dcm"):
        return ()
    from napari_sam2.io.dicom_seg import PATIENT_NOTICE

    return (PATIENT_NOTICE,)


def find_names(labels_path: str | os.PathLike[str]) -> dict[int, str]:
    """Names by id from the ``.tsv`` beside a label map; empty if there is none that can be read."""
    return {label_id: term.name for label_id, term in find_terms(labels_path).items()}


def _dicom_seg(
    labels: NDArray[Any],
    volume: Volume,
    target: Path,
    structures: list[Structure],
    source: Path,
    labelmap: bool,
    overwrite: bool,
) -> dict[int, int]:
    from napari_sam2.io.dicom_seg import write_dicom_seg

    return write_dicom_seg(
        labels, volume, target, structures, model=_model_of(source), labelmap=labelmap, overwrite=overwrite
    )


def _by_ending(
    ending: str, labels: NDArray[Any], volume: Volume, target: Path, structures: list[Structure], overwrite: bool
) -> None:
    from napari_sam2.io.ome_zarr import write_ome_zarr
    from napari_sam2.io.seg_nrrd import write_seg_nrrd

    if ending == ".ome.zarr":
        write_ome_zarr(labels, volume, target, structures, overwrite=overwrite)
    elif ending == ".seg.nrrd":
        write_seg_nrrd(labels, volume, target, structures, overwrite=overwrite)
    elif ending == ".txt":
        write_itksnap_labels(structures, target, overwrite=overwrite)
    else:
        write_slicer_colours(structures, target, overwrite=overwrite)


def _model_of(labels_path: Path) -> dict[str, str]:
    """The model's card from the ``.json`` beside a label map; empty if nothing is known."""
    try:
        facts = json.loads(sidecar_paths(labels_path)[0].read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in facts["Model"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_mapping(
    target: Path, structures: tuple[Structure, ...], mapping: Mapping[int, int], overwrite: bool
) -> None:
    rows = [{"id": mapping[s.label_id], "source_id": s.label_id, "name": s.name} for s in structures]
    beside = sidecar_paths(target)[0]
    path = beside.with_name(beside.stem + "_ids.json")
    write_text(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n", overwrite=overwrite)
