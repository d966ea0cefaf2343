from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from napari_sam2 import registration
from napari_sam2.registration import as_image, register


def test_scans_that_drift_apart_are_not_laid_over_each_other(monkeypatch):
    """ITK raises when no sample is left inside; a shift far beyond both scans brings it there at once."""
    rng = np.random.default_rng(0)
    first, second = (as_image(rng.random((12, 12, 12), dtype=np.float32), np.diag([3.0, 3, 3, 1])) for _ in range(2))
    away = SimpleITK.Euler3DTransform()
    away.SetTranslation((1e4, 0, 0))
    monkeypatch.setattr(registration, "_best_shift", lambda *_: away)
    assert register(first, second) is None


@pytest.mark.parametrize("shift", [(6.0, -4.0, 3.0), (0.0, 0.0, 0.0)])
def test_a_moved_copy_is_laid_back(shift):
    grid = np.indices((30, 28, 26)).astype(np.float32)
    inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, (15, 12, 13), (9, 5, 7), strict=True)) < 1
    image = (0.2 + 0.6 * inside + 0.1 * (grid[0] > 20)).astype(np.float32)
    affine = np.diag([2.0, 2, 2, 1])
    moved = affine.copy()
    moved[:3, 3] = shift
    found = register(as_image(image, affine), as_image(image, moved))
    assert found is not None
    place = np.array([30.0, 24.0, 26.0])
    assert np.linalg.norm(np.array(found.TransformPoint(place.tolist())) - place - shift) < 1.0
