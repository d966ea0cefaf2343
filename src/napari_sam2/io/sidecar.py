"""Sidecars of a label map: ``.json`` (provenance) and ``.tsv`` (names).

Both follow BIDS derivatives. They hold no path and nothing of the patient: the source is named by its
file name or only by its hash, and its header's free text is never read in the first place.
"""

from __future__ import annotations

import json
import math
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2._version import __version__
from napari_sam2.core.prompts import Box, ObjectPrompts, Point
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import write_text
from napari_sam2.io.names import stem_of
from napari_sam2.io.nifti_header import GridHeader
from napari_sam2.tables import csv_text
from napari_sam2.terms.structures import Structure, structures_for

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.terms.terminology import Term

__all__ = [
    "INTENDED_USE",
    "Provenance",
    "as_json_text",
    "facts_of",
    "sidecar_paths",
    "sidecar_texts",
    "software_versions",
    "write_sidecars",
]

INTENDED_USE: Final = "Research only. Not for diagnosis or treatment."

_PACKAGES: Final = ("numpy", "torch", "transformers", "scikit-image", "nibabel", "SimpleITK")


_COLUMNS: Final = {
    "code": {"Description": "Code of the structure in SNOMED CT (SCT) or another scheme, where known."},
    "meaning": {"Description": "The code's name in its scheme."},
    "category": {"Description": "What is coded: organ, tissue, structure or abnormal."},
    "voxels": {"Description": "Number of voxels."},
    "volume_ml": {"Description": "Volume.", "Units": "mL"},
}
"""What the columns of the table mean that BIDS does not define."""


@dataclass(frozen=True)
class Provenance:
    """How a label map was made.

    Plain values, so that anything can be the maker.

    Attributes
    ----------
    model : mapping of str
        The fields of the model's card: name, kind, revision, sha256, license; and how it looked at slices:
        quality, input_size, views, precision.
    window : Window, optional
        How intensities were shown to the model.
    slice_axis : int, optional
        The axis it went along.
    objects : sequence of ObjectPrompts
        What was asked for.
    terms : mapping of int to Term
        Codes and colours of objects, by id, where a person chose them; else codes are found by name.
    device : str
        Where the model ran, for example ``"cpu"``.
    settings : mapping
        Further choices, such as ``{"direction": "both", "slices": [80, 170], "overlap": "first"}``.
    helpers : mapping of str to str
        Further networks that had a part in the result, by name, and what each did.
    edited : bool
        Whether a person painted in the result.
    hide_source_name : bool
        Name the source by its hash alone, for file names that tell who the patient is. The folder of a DICOM
        series is never named.
    channels : mapping
        What is said of further channels, see `napari_sam2.channels.facts.facts_of_channels`; empty without any.
    source_changed : bool, optional
        Whether the source's file has changed since it was read; looked up where it is not known.
    """

    model: Mapping[str, str] = field(default_factory=dict)
    window: Window | None = None
    slice_axis: int | None = None
    objects: Sequence[ObjectPrompts] = ()
    terms: Mapping[int, Term] = field(default_factory=dict)
    device: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    edited: bool = False
    hide_source_name: bool = False
    source_changed: bool | None = None
    channels: Mapping[str, Any] = field(default_factory=dict)


def write_sidecars(
    labels_path: str | os.PathLike[str],
    labels: NDArray[Any],
    volume: Volume,
    provenance: Provenance,
    *,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write ``.json`` and ``.tsv`` beside a label map that was written before.

    Parameters
    ----------
    labels_path : path-like
        The label map; its hash goes into the JSON.
    labels : (I, J, K) array
        What is in it.
    volume : Volume
        The source.
    provenance : Provenance
        How it was made.
    overwrite : bool
        Whether earlier sidecars may be replaced.

    Returns
    -------
    json_path, tsv_path : Path

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If they cannot be written, or exist and may not be replaced.
    """
    target = Path(labels_path)
    json_path, tsv_path = sidecar_paths(target)
    json_text, tsv_text = sidecar_texts(target.name, sha256_of(target), labels, volume, provenance)
    write_text(json_path, json_text, overwrite=overwrite)
    write_text(tsv_path, tsv_text, overwrite=overwrite)
    return json_path, tsv_path


def sidecar_texts(
    name: str, sha256: str, labels: NDArray[Any], volume: Volume, provenance: Provenance
) -> tuple[str, str]:
    """What the sidecars of a label map say, JSON and table.

    Parameters
    ----------
    name, sha256 : str
        Of the label map's file.
    labels, volume, provenance
        As in `write_sidecars`.
    """
    names = {obj.object_id: obj.name for obj in provenance.objects}
    ids, counts = np.unique(labels, return_counts=True)
    voxels = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    structures = structures_for([*ids.tolist(), *names], names, provenance.terms)
    facts = {
        **facts_of(volume, provenance),
        "Outputs": [_output(name, sha256, volume, structures, voxels)],
        **_COLUMNS,
    }
    return as_json_text(facts), _table(structures, voxels, volume)


def sidecar_paths(labels_path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Where the sidecars of a label map lie.

    ``x.nii.gz`` has ``x.json`` and ``x.tsv``.
    """
    target = Path(labels_path)
    stem = stem_of(target)
    return target.with_name(stem + ".json"), target.with_name(stem + ".tsv")


def facts_of(volume: Volume, provenance: Provenance) -> dict[str, Any]:
    """What a sidecar says of source, model, prompts and choices."""
    source = volume.source
    return {
        "Description": "Label map made with napari-sam2 from prompts that a person gave.",
        "Manual": False,
        "Sources": [f"sha256:{source.sha256}" if provenance.hide_source_name else source.public_name],
        "SpatialReference": "orig",
        "GeneratedBy": [{"Name": "napari-sam2", "Version": __version__}],
        "IntendedUse": INTENDED_USE,
        "Created": datetime.now(UTC).isoformat(timespec="seconds"),
        "Model": dict(provenance.model),
        "Source": _source_facts(volume, provenance),
        "Preprocessing": _window_facts(provenance, volume),
        **provenance.channels,
        "Prompts": [entry for obj in provenance.objects for entry in _prompt_facts(obj)],
        "Propagation": dict(provenance.settings),
        **({"FurtherNetworks": dict(provenance.helpers)} if provenance.helpers else {}),
        "EditedByHand": provenance.edited,
        "Environment": {**software_versions(), "device": provenance.device},
    }


def as_json_text(facts: Mapping[str, Any] | Sequence[Any]) -> str:
    """A sidecar's text."""
    return json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """A value for strict JSON.

    Numbers that are not finite, such as distances to what is empty, become None, at any depth.
    """
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def software_versions() -> dict[str, str]:
    """Versions of everything that decides about a result.

    Python, the platform and the packages.
    """
    versions = {"napari-sam2": __version__, "python": platform.python_version(), "platform": platform.system()}
    for package in _PACKAGES:
        try:
            versions[package.lower()] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _output(
    name: str, sha256: str, volume: Volume, structures: list[Structure], voxels: Mapping[int, int]
) -> dict[str, Any]:
    return {
        "File": name,
        "sha256": sha256,
        "Empty": not any(count for label_id, count in voxels.items() if label_id),
        "Labels": {
            str(s.label_id): {
                "Name": s.name,
                **({"Code": str(s.code)} if s.code else {}),
                "Voxels": voxels.get(s.label_id, 0),
                "VolumeML": _round(voxels.get(s.label_id, 0) * volume.voxel_volume_ml),
            }
            for s in structures
        },
    }


def _source_facts(volume: Volume, provenance: Provenance) -> dict[str, Any]:
    changed = provenance.source_changed
    if changed is None:
        from napari_sam2.io.labels import source_has_changed

        changed = source_has_changed(volume)
    facts: dict[str, Any] = {
        "sha256": volume.source.sha256,
        "ChangedSinceOpened": changed,
        "Format": volume.source.file_format,
        "Shape": list(volume.shape),
        "DataType": str(volume.voxels.dtype),
        "SpacingMM": [_round(s) for s in volume.spacing],
        "AffineRASMM": volume.affine.tolist(),
        "OrientationKnown": volume.oriented,
        "Notes": list(volume.source.notes),
    }
    if volume.oriented:
        facts["AxisCodes"] = "".join(volume.axis_codes)
    if isinstance(volume.source.header, GridHeader):
        fields = volume.source.header.fields
        facts["SformCode"], facts["QformCode"] = int(fields["sform_code"]), int(fields["qform_code"])
    return facts


def _window_facts(provenance: Provenance, volume: Volume) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if provenance.window is not None:
        window = provenance.window
        facts["Window"] = {"Name": window.name, "Low": window.low, "High": window.high}
    if provenance.slice_axis is not None:
        facts["SliceAxis"] = provenance.slice_axis
        facts["Plane"] = volume.plane_name(provenance.slice_axis)
    return facts


def _prompt_facts(obj: ObjectPrompts) -> list[dict[str, Any]]:
    entries = []
    for prompt in obj.prompts:
        entry: dict[str, Any] = {"Object": obj.object_id, "Space": "voxel_ijk"}
        if isinstance(prompt, Point):
            entry |= {"Kind": "point", "Positive": prompt.positive, "Values": [float(c) for c in prompt.voxel]}
        elif isinstance(prompt, Box):
            entry |= {"Kind": "box", "Values": [[int(c) for c in corner] for corner in prompt.corners]}
        else:
            pixels = int(np.count_nonzero(prompt.mask))
            entry |= {"Kind": "mask", "Axis": prompt.axis, "Slice": prompt.index, "Pixels": pixels}
        entries.append(entry)
    return entries


def _table(structures: list[Structure], voxels: Mapping[int, int], volume: Volume) -> str:
    rows = []
    for s in structures:
        count = voxels.get(s.label_id, 0)
        rows.append(
            {
                "index": s.label_id,
                "name": s.name,
                "color": s.hex_colour,
                "code": str(s.code) if s.code else "n/a",
                "voxels": count,
                "volume_ml": count * volume.voxel_volume_ml,
                "meaning": s.code.meaning if s.code else "n/a",
                "category": s.code.category if s.code else "n/a",
            }
        )
    return csv_text(rows, separator="\t") or "index\tname\n"


def _round(value: float) -> float:
    return float(f"{value:.6g}")
