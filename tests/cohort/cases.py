"""Small cohorts on disk: bright balls with a box each."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_sam2.cohort.job import TASKS, CaseJob, CohortSettings
from napari_sam2.cohort.state import hash_inputs
from napari_sam2.models.fingerprint import fingerprint
from tests.phantoms import ball, box_on

SHAPE, CENTRE = (24, 22, 12), (12, 11, 6)


def write_case(folder: Path, case: str, *, seed: int = 0, radii=(6, 5, 4), spacing: float = 2.0) -> dict[str, str]:
    """An image, a prompt file and known labels; the row of a manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    volume, inside = ball(SHAPE, CENTRE, radii, np.diag([-1.0, 1.0, spacing, 1.0]), seed)
    nib.save(nib.Nifti1Image(volume.voxels.astype(np.int16), volume.affine), folder / f"{case}.nii.gz")
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), volume.affine), folder / f"{case}_labels.nii.gz")
    corners = [list(corner) for corner in box_on(inside, 2, CENTRE[2]).corners]
    prompts = {"version": 1, "objects": [{"id": 1, "name": "ball", "prompts": [{"box": corners}]}]}
    (folder / f"{case}.json").write_text(json.dumps(prompts))
    return {
        "case": case,
        "image": f"{folder.name}/{case}.nii.gz",
        "prompts": f"{folder.name}/{case}.json",
        "labels": f"{folder.name}/{case}_labels.nii.gz",
    }


def write_manifest(path: Path, rows: list[dict[str, str]], *columns: str) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["case", "image", *columns], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def job_of(root: Path, row: dict[str, str], task: str = "segment", **settings: str) -> CaseJob:
    """The job of a row, planned as a run plans it."""
    chosen = CohortSettings(task=task, model="classical", **settings)
    paths = {column: root / row[column] for column in TASKS[task]}
    image = root / row["image"]
    files = hash_inputs(image, paths.get("prompts"), paths.get("session"), paths.get("labels"))
    model = {} if task in ("measure", "export") else {"model": fingerprint("classical")}
    folder = root / "out" / row["case"]
    return CaseJob(case=row["case"], folder=folder, image=image, settings=chosen, inputs=files | model, **paths)
