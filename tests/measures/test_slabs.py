from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

from napari_sam2.measures import slabs
from napari_sam2.measures.slabs import centre_of, count_components, surface_area


def ragged(seed):
    noise = np.random.default_rng(seed).normal(size=(23, 17, 19))
    return ndimage.gaussian_filter(noise, (0.8, 0.8, 0.8)) > 0.12


@pytest.mark.parametrize("voxels", [1, 17 * 19 * 2, 17 * 19 * 5, 1 << 22])
@pytest.mark.parametrize("seed", range(3))
def test_figures_do_not_depend_on_how_a_mask_is_cut_into_slabs(monkeypatch, voxels, seed):
    monkeypatch.setattr(slabs, "SLAB_VOXELS", voxels)
    mask = ragged(seed)
    steps = np.array([[0.7, 0.1, 0.0], [0.0, 0.8, 0.2], [0.0, 0.0, 2.5]])
    assert count_components(mask) == ndimage.label(mask, np.ones((3, 3, 3)))[1]
    vertices, faces, *_ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5)
    assert surface_area(mask, steps) == pytest.approx(mesh_surface_area(vertices @ steps.T, faces), rel=1e-5)
    count, centre = centre_of(mask)
    np.testing.assert_allclose(centre, np.argwhere(mask).mean(axis=0))
    assert count == mask.sum()


def test_a_piece_that_touches_across_slabs_by_a_corner_only_is_one(monkeypatch):
    monkeypatch.setattr(slabs, "SLAB_VOXELS", 1)
    mask = np.eye(9, dtype=bool)[:, :, None]
    assert count_components(mask) == 1
    assert count_components(mask[::2, ::2]) == 1
    assert count_components(np.zeros((5, 5, 5), bool)) == 0
