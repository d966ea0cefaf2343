"""Results of a BIDS dataset filed as BIDS derivatives.

Beside the folders of the cohort.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_sam2.cohort.job import LABELS
from napari_sam2.cohort.state import DONE, EDITED, read_status, result_standing
from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_bytes, write_text
from napari_sam2.io.bids import MAKER, BidsName, write_dataset_files
from napari_sam2.io.sidecar import sidecar_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.io.manifest import ManifestRow

__all__ = ["COHORT_FOLDER", "check_output", "file_derivatives"]

COHORT_FOLDER: Final = "cohort"
"""Where the cases' own folders are: in the derivative dataset, and ignored by validators."""

RAW: Final = "raw"


def check_output(dataset: Path, prompts: Path, output: Path) -> None:
    """Refuse an output folder among the data that are read.

    Nor may it hold derivatives of another program.

    Raises
    ------
    UserInputError
        Saying which of them it is.
    """
    raw, given, folder = dataset.resolve(), prompts.resolve(), output.resolve()
    within = folder.relative_to(raw).parts if folder.is_relative_to(raw) else ("derivatives", "")
    if within[:1] != ("derivatives",) or len(within) < 2 or folder.is_relative_to(given):
        raise UserInputError(
            f"{output.name} is among the data that are read; give {dataset.name}/derivatives/napari-sam2, or a folder "
            "outside the dataset."
        )
    description = folder / "dataset_description.json"
    if not description.is_file():
        return
    try:
        makers = [entry["Name"] for entry in json.loads(description.read_text(encoding="utf-8"))["GeneratedBy"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        makers = []
    if MAKER not in makers:
        raise UserInputError(f"{output.name} is a dataset of another program; give a folder of its own.")


def file_derivatives(dataset: Path, rows: Sequence[ManifestRow], output: Path) -> list[Path]:
    """Copy every finished label map to where BIDS wants it.

    Parameters
    ----------
    dataset : Path
        The raw dataset.
    rows : sequence of ManifestRow
        Its cases, from `napari_sam2.io.bids_input.find_cases`.
    output : Path
        The derivative dataset; the cohort is in its `COHORT_FOLDER`.

    Returns
    -------
    list of Path
        Label maps ``sub-*/[ses-*/]anat/*_dseg.nii.gz``; those of cases that are not done are missing.

    Raises
    ------
    EnvironmentLacksError
        If the disk is full.
    """
    link = Path(os.path.relpath(dataset.resolve(), output.resolve())).as_posix()
    write_dataset_files(output, links={RAW: link})
    ignore = output / ".bidsignore"
    if not ignore.exists():
        write_text(ignore, f"{COHORT_FOLDER}\n")
    written = []
    for row in rows:
        folder = output / COHORT_FOLDER / row.case
        if result_standing(folder, read_status(folder)) not in (DONE, EDITED):
            continue
        name = BidsName.parse(row.image.name)
        stem = output / name.derivative(name.suffix)
        stem.parent.mkdir(parents=True, exist_ok=True)
        target = stem.with_name(stem.name + ".nii.gz")
        write_bytes(target, (folder / LABELS).read_bytes(), overwrite=True)
        source = f"bids:{RAW}:{row.image.resolve().relative_to(dataset.resolve()).as_posix()}"
        _copy_sidecars(folder / LABELS, target, source)
        written.append(target)
    return written


def _copy_sidecars(labels: Path, target: Path, source: str) -> None:
    (facts_file, table), (facts_target, table_target) = sidecar_paths(labels), sidecar_paths(target)
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    facts["Sources"] = [source]
    for entry in facts["Outputs"]:
        entry["File"] = target.name
    write_text(facts_target, json.dumps(facts, indent=1, ensure_ascii=False) + "\n", overwrite=True)
    write_bytes(table_target, table.read_bytes(), overwrite=True)
