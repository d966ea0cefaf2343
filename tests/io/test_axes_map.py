from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from napari_sam2.errors import GeometryError
from napari_sam2.io.axes_map import AxesMap, find_axes_maps, prove_axes_map

VOXELS = np.random.default_rng(0).integers(-1000, 1000, (7, 9, 5)).astype(np.int16)
ALL_MAPS = [AxesMap(p, f) for p, f in product(permutations(range(3)), product((False, True), repeat=3))]


@pytest.mark.parametrize("axes_map", ALL_MAPS)
def test_every_transpose_and_flip_is_found_and_is_the_only_one(axes_map):
    shown = axes_map.shown(VOXELS)
    assert find_axes_maps(shown, VOXELS) == [axes_map]
    assert np.array_equal(axes_map.stored(shown), VOXELS)


@pytest.mark.parametrize("axes_map", ALL_MAPS)
def test_coordinates_go_the_same_way_as_voxels(axes_map):
    shown = axes_map.shown(VOXELS)
    voxel = (4, 2, 3)
    at = axes_map.to_array(voxel, VOXELS.shape).astype(int)
    assert shown[tuple(at)] == VOXELS[voxel]
    assert np.array_equal(axes_map.to_voxel(at, VOXELS.shape), voxel)


def test_a_float_copy_still_matches():
    assert find_axes_maps(VOXELS.T.astype(np.float32), VOXELS) == [AxesMap()]


def test_an_edited_image_is_refused_even_when_one_voxel_differs():
    edited = VOXELS.T.copy()
    edited[2, 3, 4] += 7
    with pytest.raises(GeometryError, match="edited or resampled"):
        prove_axes_map(edited, VOXELS, "scan.nii.gz")


def test_a_constant_cube_is_refused_because_nothing_proves_its_orientation():
    cube = np.ones((6, 6, 6), np.int16)
    assert len(find_axes_maps(cube, cube)) == 48
    with pytest.raises(GeometryError, match="48 orientations"):
        prove_axes_map(cube, cube, "scan.nii.gz")


def test_another_shape_has_no_map():
    assert find_axes_maps(VOXELS.T[:-1], VOXELS) == []
