from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_sam2.io.axes_map import AxesMap
from napari_sam2.plugin.canvas.coordinates import IN_PLANE_2D, LayerGrid, layer_to_layer

SHAPE = (7, 9, 5)
VOXELS = np.arange(np.prod(SHAPE)).reshape(SHAPE)

axes_maps = st.builds(
    AxesMap, st.permutations([0, 1, 2]).map(tuple), st.tuples(st.booleans(), st.booleans(), st.booleans())
)


@given(axes_maps, st.tuples(*(st.integers(0, n - 1) for n in SHAPE)))
def test_data_and_voxel_coordinates_are_inverse_for_every_map(axes_map, voxel):
    grid = LayerGrid(axes_map, SHAPE)
    assert np.allclose(grid.to_voxel(grid.to_data(voxel))[0], voxel)


def test_a_negative_scale_does_not_turn_the_volume_round():
    # What napari-nifti shows: flipped array, negative scale, translation to the far corner.
    axes_map = AxesMap((2, 1, 0), (True, False, False))
    image = Image(axes_map.shown(VOXELS), scale=(-2, 1, 0.5), translate=(40, -3, 7))
    grid = LayerGrid(axes_map, SHAPE)
    voxel = (2, 6, 3)
    world = image.data_to_world(grid.to_data(voxel)[0])
    assert np.allclose(grid.world_to_voxel(image, world), voxel)


def test_the_slice_on_view_follows_the_dims_in_every_order():
    viewer = ViewerModel()
    image = viewer.add_image(AxesMap().shown(VOXELS), scale=(3, 1, 2), translate=(10, 0, -5))
    grid = LayerGrid(AxesMap(), SHAPE)
    for order, axis in (((0, 1, 2), 2), ((1, 0, 2), 1), ((2, 0, 1), 0)):
        viewer.dims.order = order
        for index in range(SHAPE[axis]):
            viewer_axis, world = grid.world_of_slice(image, axis, index, viewer.dims.ndim)
            viewer.dims.set_point(viewer_axis, world)
            assert grid.slice_on_view(image, viewer.dims) == (axis, index)


def test_there_is_no_slice_in_three_dimensional_view():
    viewer = ViewerModel()
    image = viewer.add_image(AxesMap().shown(VOXELS))
    viewer.dims.ndisplay = 3
    assert LayerGrid(AxesMap(), SHAPE).slice_on_view(image, viewer.dims) is None


def test_a_picture_is_one_slice_across_k():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((6, 8)))
    grid = LayerGrid(IN_PLANE_2D, (6, 8, 1), ndim=2)
    assert grid.slice_on_view(image, viewer.dims) == (2, 0)
    assert np.allclose(grid.world_to_voxel(image, (3.0, 4.0)), (3, 4, 0))


def test_leading_axes_such_as_time_are_left_out():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 5, 9, 7)))
    grid = LayerGrid(AxesMap(), SHAPE, ndim=4, leading=(2,))
    viewer.dims.set_point(1, 3)
    assert grid.slice_on_view(image, viewer.dims) == (2, 3)
    assert np.allclose(grid.world_to_voxel(image, (2, 1, 5, 6)), (6, 5, 1))


def test_points_of_another_layer_come_over_through_both_transforms():
    image = Image(np.zeros((5, 9, 7)), scale=(2, 1, 1), translate=(10, 0, 0))
    points = Points([[14, 3, 4]], scale=(1, 1, 1))
    assert np.allclose(layer_to_layer(points.data, points, image), [[2, 3, 4]])


def test_points_without_a_slice_are_refused():
    with pytest.raises(ValueError, match="2 axes"):
        layer_to_layer([[1, 2]], Points([[1, 2]]), Image(np.zeros((5, 9, 7))))
