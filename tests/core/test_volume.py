from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_sam2.core.volume import Volume, closest_axes
from napari_sam2.errors import GeometryError, UserInputError

angles = st.floats(-0.3, 0.3)  # far from 45 degrees, where two axes are equally close and either answer is right


@st.composite
def affines(draw):
    """Any axis order and direction, rotated, with anisotropic spacing and a far origin."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3))
    spacing = draw(st.lists(st.floats(0.2, 8.0), min_size=3, max_size=3))
    rotation = np.eye(3)
    for axis, angle in enumerate(draw(st.tuples(angles, angles, angles))):
        a, b = (i for i in range(3) if i != axis)
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.eye(3)[:, order] * np.array(signs) * np.array(spacing)
    affine[:3, 3] = draw(arrays(float, 3, elements=st.floats(-500, 500)))
    return affine


@given(affines())
def test_axis_codes_are_those_of_nibabel(affine):
    assert Volume(np.zeros((2, 3, 4)), affine).axis_codes == nib.aff2axcodes(affine)


@given(affines(), arrays(float, (5, 3), elements=st.floats(-50, 50)))
def test_world_coordinates_agree_with_nibabel_and_come_back(affine, voxels):
    volume = Volume(np.zeros((2, 3, 4)), affine)
    world = volume.voxel_to_world(voxels)
    assert np.allclose(world, nib.affines.apply_affine(affine, voxels))
    assert np.allclose(volume.world_to_voxel(world), voxels, atol=1e-6)


@given(affines(), st.integers(0, 2), st.integers(0, 2))
def test_a_voxel_goes_to_the_plane_and_back(affine, axis, index):
    volume = Volume(np.arange(60).reshape(3, 4, 5), affine)
    plane = volume.plane(axis)
    slice_pixels = plane.take(volume.voxels, index)
    assert slice_pixels.shape == plane.shape
    for row, col in np.ndindex(plane.shape):
        i, j, k = plane.to_voxel((row, col), index).astype(int)
        assert volume.voxels[i, j, k] == slice_pixels[row, col]
        assert tuple(plane.to_plane((i, j, k))) == (row, col)


@given(affines())
def test_slices_show_anterior_on_top_and_the_patients_right_on_the_left(affine):
    volume = Volume(np.zeros((3, 4, 5)), affine)
    world_axis, _ = closest_axes(affine)
    for axis in range(3):
        plane = volume.plane(axis)
        here = volume.voxel_to_world(plane.to_voxel((1, 1), 1))
        below = volume.voxel_to_world(plane.to_voxel((2, 1), 1))
        right = volume.voxel_to_world(plane.to_voxel((1, 2), 1))
        down_axis, right_axis = (w for w in (2, 1, 0) if w != world_axis[axis])
        assert (below - here)[down_axis] < 0
        assert (right - here)[right_axis] < 0


def test_an_unoriented_volume_shows_slices_as_stored():
    voxels = np.arange(60).reshape(3, 4, 5)
    volume = Volume(voxels, np.diag([-1.0, -1, 1, 1]), oriented=False)
    assert np.array_equal(volume.plane(2).take(voxels, 1), voxels[:, :, 1])
    assert np.array_equal(volume.plane(0).take(voxels, 2), voxels[2])


def test_writing_into_a_slice_writes_into_the_volume():
    labels = np.zeros((3, 4, 5), dtype=np.uint8)
    plane = Volume(labels, np.diag([-1.0, 2, 3, 1])).plane(1)
    plane.take(labels, 2)[0, 0] = 7
    i, j, k = plane.to_voxel((0, 0), 2).astype(int)
    assert labels[i, j, k] == 7
    assert labels.sum() == 7


@pytest.mark.parametrize(
    ("spacing", "shape", "axis"),
    [((1, 1, 1), (9, 9, 9), 2), ((1, 1, 4), (9, 9, 9), 2), ((5, 1, 1), (9, 9, 9), 0), ((1, 1, 1), (9, 1, 9), 1)],
)
def test_slices_lie_across_the_coarsest_axis_else_axial(spacing, shape, axis):
    assert Volume(np.zeros(shape), np.diag([*spacing, 1.0])).default_slice_axis == axis


def test_planes_are_named_by_anatomy():
    volume = Volume(np.zeros((4, 5, 6)), nib.orientations.inv_ornt_aff([[2, 1], [0, -1], [1, 1]], (4, 5, 6)))
    codes = volume.axis_codes
    assert codes[volume.axis_of_plane("axial")] in "SI"
    assert codes[volume.axis_of_plane("coronal")] in "AP"
    assert codes[volume.axis_of_plane("sagittal")] in "RL"
    with pytest.raises(UserInputError, match="choose axial, coronal or sagittal"):
        volume.axis_of_plane("transverse")


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (np.zeros((2, 3)), np.eye(4), "must have shape"),
        (np.zeros((2, 0, 3)), np.eye(4), "must have shape"),
        (np.zeros((2, 3, 4, 3)), np.eye(4), "uint8 for RGB"),
        (np.zeros((2, 3, 4)), np.zeros((4, 4)), "singular"),
        (np.zeros((2, 3, 4)), np.full((4, 4), np.nan), "finite"),
    ],
)
def test_what_is_no_volume_is_refused(voxels, affine, message):
    with pytest.raises(GeometryError, match=message):
        Volume(voxels, affine)


def test_a_millilitre_is_a_thousand_cubic_millimetres():
    assert Volume(np.zeros((2, 2, 2)), np.diag([2.0, 5.0, 10.0, 1])).voxel_volume_ml == pytest.approx(0.1)
