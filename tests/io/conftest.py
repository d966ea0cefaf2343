from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

OBLIQUE = np.eye(4)
"""LPS-like, turned by about ten degrees around two axes, 0.8 x 0.8 x 3 mm."""
OBLIQUE[:3, :3] = Rotation.from_euler("xy", (9, -11), degrees=True).as_matrix() @ np.diag([-0.8, -0.8, 3.0])
OBLIQUE[:3, 3] = 41.5, -60.25, 12.125


@pytest.fixture
def voxels() -> np.ndarray:
    """A small MR-like scan, (12, 20, 8) int16, in which no two voxels are equal."""
    values = np.random.default_rng(3).permutation(12 * 20 * 8).reshape(12, 20, 8)
    return values.astype(np.int16)


@pytest.fixture
def scan(tmp_path, voxels):
    """An oblique NIfTI-1 file."""
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(voxels, OBLIQUE), path)
    return path


@pytest.fixture
def labels() -> np.ndarray:
    array = np.zeros((12, 20, 8), np.uint8)
    array[3:7, 4:12, 2:5] = 1
    array[8:10, 4:12, 3:7] = 2
    return array
