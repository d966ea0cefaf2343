"""Finished scans of five subjects with a ball each, and a tiny network to tune."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_sam2.models.small.net import NetConfig, SmallNet
from napari_sam2.models.small.weights import write_weights
from napari_sam2.tuning import plan, scoring, small
from napari_sam2.tuning.material import rehearsal
from tests.phantoms import ball

SUBJECTS = ("ann", "ben", "cem", "dov", "eva")
SHAPE = (24, 22, 10)


@pytest.fixture(autouse=True)
def little_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """One structure of the package's scans instead of seven, two invented slabs and four steps, for time."""
    monkeypatch.setattr(scoring, "GUARD", {"mr_spine": (1,)})
    monkeypatch.setattr(small, "rehearsal", lambda: rehearsal(2))
    monkeypatch.setattr(small, "CURVE_CLIPS", 2)
    monkeypatch.setattr(plan, "FEWEST_STEPS", 4)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A manifest of five subjects; each has a ball, called so in the column 'name'."""
    rows = ["case,image,labels,subject,name"]
    for number, subject in enumerate(SUBJECTS):
        volume, inside = ball(SHAPE, (12, 11, 5), (6 + number % 3, 6, 3), seed=number)
        nib.save(nib.Nifti1Image(volume.voxels, np.eye(4)), tmp_path / f"{subject}.nii.gz")
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), np.eye(4)), tmp_path / f"{subject}_labels.nii.gz")
        rows.append(f"case-{number},{subject}.nii.gz,{subject}_labels.nii.gz,{subject},ball")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Path:
    """A small network of few, random weights that looks at views of 32 pixels."""
    torch.manual_seed(0)
    config = NetConfig(widths=(8, 8, 16, 16), heads=2)
    path = tmp_path / "tiny.safetensors"
    write_weights(path, SmallNet(config).state_dict(), config, 32, "tiny")
    return path
