"""Convert a label map to another format, with its names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.labels import consecutive_ids
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import check_folder, check_place, write_text
from napari_sam2.io.formats import FORMATS, Format, exported_suffixes, function, suffix_of
from napari_sam2.io.guard import refuse_inputs_as_outputs
from napari_sam2.io.label_tables import find_terms
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.names import stem_of
from napari_sam2.io.ome_zarr import NGFF_VERSION
from napari_sam2.io.read import read_volume
from napari_sam2.io.sidecar import sidecar_paths
from napari_sam2.terms.structures import Structure, structures_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = [
    "EXPORTABLE",
    "Exported",
    "export_labels",
    "files_of_export",
    "find_names",
    "notices_before",
    "write_structures",
]

EXPORTABLE: Final = exported_suffixes()
"""Endings of label maps and of what belongs to them, see `napari_sam2.io.formats`."""


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
    notes : tuple of str
        Sentences about what the format cannot hold, for the person to see.
    """

    path: Path
    structures: tuple[Structure, ...]
    mapping: dict[int, int]
    notes: tuple[str, ...] = ()


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
    row = _checked_format(target)
    refuse_inputs_as_outputs((source, Path(reference)), files_of_export(target, consecutive=consecutive))
    (check_place if row.is_folder else check_folder)(target)
    volume = read_volume(reference, series=series, volume_index=volume_index)
    labels, own_names = read_named_labels(source, volume)
    structures = tuple(structures_for(np.unique(labels).tolist(), names or own_names, find_terms(source)))
    mapping: dict[int, int] = {}
    if consecutive:
        labels, mapping = consecutive_ids(labels)
    in_file = [Structure(mapping.get(s.label_id, s.label_id), s.name, s.colour, s.code) for s in structures]
    model = _model_of(source)
    numbered = write_structures(labels, volume, in_file, target, model=model, labelmap=labelmap, overwrite=overwrite)
    mapping = numbered or mapping
    if consecutive:
        _write_mapping(target, structures, mapping, overwrite)
    return Exported(target, structures, mapping, _notes(row, in_file, volume))


def write_structures(
    labels: NDArray[Any],
    volume: Volume,
    structures: Sequence[Structure],
    target: Path,
    *,
    model: Mapping[str, str] | None = None,
    labelmap: bool = False,
    overwrite: bool = False,
) -> dict[int, int]:
    """Write labels and what is known of them.

    In the format of the file's ending.

    Parameters
    ----------
    labels : (I, J, K) array
        On the grid of `volume`.
    volume : Volume
        The image.
    structures : sequence of Structure
        What is in them.
    target : Path
        The file to make; its ending is one of `EXPORTABLE`.
    model : mapping, optional
        Of the model that made them: name, kind, revision, hash.
    labelmap : bool
        A DICOM SEG of type LABELMAP instead of BINARY.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    dict of int to int
        Id in the labels -> id in the file, for a format that numbers anew; else empty.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If the ending is unknown or the file cannot be written.
    """
    row = _checked_format(target)
    everything: dict[str, Any] = {
        "labels": labels,
        "volume": volume,
        "structures": list(structures),
        "model": dict(model or {}),
        "labelmap": labelmap,
    }
    result = function(row.write)(**{name: everything[name] for name in row.needs}, path=target, overwrite=overwrite)
    return result if isinstance(result, dict) else {}


def _checked_format(target: Path) -> Format:
    row = _written_format(target)
    if row is None:
        raise UserInputError(f"{target.name}: the ending must be one of {', '.join(EXPORTABLE)}.")
    return row


def _notes(row: Format, structures: list[Structure], volume: Volume) -> tuple[str, ...]:
    if row.kind == "ome-zarr" and np.abs(volume.affine[:3, :3] - np.diag(volume.spacing)).max() > 1e-6:
        return (
            f"OME-Zarr {NGFF_VERSION} holds the distances of voxels but not their direction in the patient; the full "
            "affine stands beside them under napari_sam2.",
        )
    if row.kind != "dicom-seg":
        return ()
    from napari_sam2.io.dicom_seg import segment_labels

    written = segment_labels(structures)
    return tuple(
        f"The name {s.name!r} is written as {written[s.label_id]!r}: DICOM allows no backslash, no line end and "
        "no more than 64 characters."
        for s in structures
        if written[s.label_id] != s.name
    )


def files_of_export(output: str | os.PathLike[str], *, consecutive: bool = False) -> list[Path]:
    """Everything that an export writes.

    The file, and the mapping where ids are numbered anew.
    """
    target = Path(output)
    return [target, *([_mapping_path(target)] if consecutive else [])]


def notices_before(output: str | os.PathLike[str]) -> tuple[str, ...]:
    """What a person should know before `output` is written: sentences, often none."""
    if not os.fspath(output).lower().endswith(".dcm"):
        return ()
    from napari_sam2.io.dicom_seg import PATIENT_NOTICE

    return (PATIENT_NOTICE,)


def find_names(labels_path: str | os.PathLike[str]) -> dict[int, str]:
    """Names by id from the ``.tsv`` beside a label map.

    Empty if there is none that can be read.
    """
    return {label_id: term.name for label_id, term in find_terms(labels_path).items()}


def _written_format(target: Path) -> Format | None:
    ending = suffix_of(target.name, EXPORTABLE)
    return next((row for row in FORMATS if row.write and ending in row.suffixes), None)


def _model_of(labels_path: Path) -> dict[str, str]:
    """The model's card from the ``.json`` beside a label map; empty if nothing is known."""
    try:
        facts = json.loads(sidecar_paths(labels_path)[0].read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in facts["Model"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _mapping_path(target: Path) -> Path:
    return target.with_name(stem_of(target) + "_ids.json")


def _write_mapping(
    target: Path, structures: tuple[Structure, ...], mapping: Mapping[int, int], overwrite: bool
) -> None:
    rows = [{"id": mapping[s.label_id], "source_id": s.label_id, "name": s.name} for s in structures]
    write_text(_mapping_path(target), json.dumps(rows, indent=1, ensure_ascii=False) + "\n", overwrite=overwrite)
