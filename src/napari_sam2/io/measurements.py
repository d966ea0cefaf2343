"""Measurements and agreement of label maps on disk, as rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2.io.atomic import write_text
from napari_sam2.io.export import find_names
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.read import read_volume
from napari_sam2.measures.measure import Measurement, growth, growth_rows, measure, measurement_rows
from napari_sam2.measures.metrics import DEFAULT_TOLERANCE_MM, agreement_rows, compare_labels
from napari_sam2.tables import csv_text

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["agreement_file", "growth_file", "measure_file", "write_rows"]


def measure_file(
    image: str | os.PathLike[str],
    labels_path: str | os.PathLike[str],
    *,
    series: str | int | None = None,
    volume_index: int | None = None,
) -> list[dict[str, Any]]:
    """Measure every object of a label map; see `napari_sam2.measures.measure.measure`.

    Returns
    -------
    list of dict
        One row per object, with units in the keys.

    Raises
    ------
    ImageFileError, GeometryError, EnvironmentLacksError
        If a file cannot be read, or they do not fit.
    """
    measured, case = _measured(image, labels_path, series=series, volume_index=volume_index)
    return measurement_rows(measured, case=case)


def growth_file(
    before: tuple[str | os.PathLike[str], str | os.PathLike[str]],
    after: tuple[str | os.PathLike[str], str | os.PathLike[str]],
) -> list[dict[str, Any]]:
    """Compare two scans of one patient, object by object.

    Parameters
    ----------
    before, after : tuple of path-like
        Image and label map of each time point. Equal ids are the same object; grids may differ.

    Returns
    -------
    list of dict
        One row per object, with units in the keys; blank where it is missing from a scan.

    Raises
    ------
    ImageFileError, GeometryError, EnvironmentLacksError
        If a file cannot be read, or labels and image do not fit.
    """
    return growth_rows(growth(_measured(*before)[0], _measured(*after)[0]))


def agreement_file(
    image: str | os.PathLike[str],
    labels_path: str | os.PathLike[str],
    reference_path: str | os.PathLike[str],
    *,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
    series: str | int | None = None,
    volume_index: int | None = None,
) -> list[dict[str, Any]]:
    """Compare a label map with a reference, id by id.

    Both lie on the same image.

    Raises
    ------
    ImageFileError, GeometryError, EnvironmentLacksError
        If a file cannot be read, or they do not fit.
    UserInputError
        If the tolerance is negative.
    """
    volume = read_volume(image, series=series, volume_index=volume_index)
    labels, names = read_named_labels(labels_path, volume)
    reference, reference_names = read_named_labels(reference_path, volume)
    all_names = {
        **find_names(labels_path),
        **names,
        **find_names(reference_path),
        **reference_names,
    }
    return agreement_rows(compare_labels(reference, labels, volume, tolerance_mm), all_names)


def write_rows(rows: Sequence[dict[str, Any]], path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write rows as CSV, or as TSV when the name ends so.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        If the file cannot be written, or exists and may not be replaced.
    """
    target = Path(path)
    separator = "\t" if target.suffix.lower() == ".tsv" else ","
    return write_text(target, csv_text(rows, separator), overwrite=overwrite)


def _measured(
    image: str | os.PathLike[str],
    labels_path: str | os.PathLike[str],
    *,
    series: str | int | None = None,
    volume_index: int | None = None,
) -> tuple[list[Measurement], str]:
    volume = read_volume(image, series=series, volume_index=volume_index)
    labels, names = read_named_labels(labels_path, volume)
    return measure(labels, volume, names or find_names(labels_path)), volume.source.public_name
