"""Turning the view.

Which plane of the volume the canvas shows, and which slice of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.canvas.fitting import fit

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_sam2.plugin.scan.volumes import ShownVolume

__all__ = ["show_plane", "show_slice", "turn_upright"]


def show_plane(viewer: ViewerModel, image: Image, shown: ShownVolume, name: str) -> None:
    """Show ``axial``, ``coronal`` or ``sagittal`` slices.

    Laid out as the volume's plane says.
    """
    grid = shown.grid
    if grid.n_spatial < 3:
        return
    plane = shown.volume.plane(shown.volume.axis_of_plane(name))
    _order(viewer, shown, plane.axis, plane.row_axis, plane.col_axis)
    viewer.dims.ndisplay = 2
    _orient(viewer, image, shown, plane.axis)
    fit(viewer, image)


def show_slice(viewer: ViewerModel, image: Image, shown: ShownVolume, axis: int, index: int) -> None:
    """Show slice `index` across a voxel axis.

    The view is turned only when it shows another plane.
    """
    grid = shown.grid
    if grid.n_spatial < 3:
        return
    on_view = grid.slice_on_view(image, viewer.dims)
    if on_view is None or on_view[0] != axis:
        show_plane(viewer, image, shown, shown.volume.plane_name(axis))
    viewer_axis, world = grid.world_of_slice(image, axis, index, viewer.dims.ndim)
    viewer.dims.set_point(viewer_axis, world)


def turn_upright(viewer: ViewerModel, image: Image, shown: ShownVolume, axis: int) -> None:
    """Show slices across a voxel axis upright.

    As the volume's plane says; nothing moves when they are shown so already.
    """
    if shown.grid.n_spatial < 3:
        return
    plane = shown.volume.plane(axis)
    before = viewer.dims.order, viewer.scene.camera.orientation
    _order(viewer, shown, plane.axis, plane.row_axis, plane.col_axis)
    _orient(viewer, image, shown, plane.axis)
    if (viewer.dims.order, viewer.scene.camera.orientation) != before:
        fit(viewer, image)


def _order(viewer: ViewerModel, shown: ShownVolume, *voxel_axes: int) -> None:
    ndim = viewer.dims.ndim
    shown_last = [shown.grid.voxel_axis_to_viewer(axis, ndim) for axis in voxel_axes]
    before = [axis for axis in range(ndim) if axis not in shown_last]
    viewer.dims.order = (*before, *shown_last)


def _orient(viewer: ViewerModel, image: Image, shown: ShownVolume, axis: int) -> None:
    """Let the canvas run down and to the right as the plane does, so that a head is upright."""
    plane = shown.volume.plane(axis)
    grid = shown.grid
    # A world position that grows with the plane's rows (columns) has to run down (right) on the canvas.
    corner, down, right = plane.to_voxel([[0, 0], [1, 0], [0, 1]], 0)
    leading = list(grid.leading)
    world = [image.data_to_world([*leading, *grid.to_data(voxel)[0]]) for voxel in (corner, down, right)]
    rows = viewer.dims.displayed[0] - viewer.dims.ndim
    cols = viewer.dims.displayed[1] - viewer.dims.ndim
    vertical = "down" if world[1][rows] >= world[0][rows] else "up"
    horizontal = "right" if world[2][cols] >= world[0][cols] else "left"
    depth = viewer.scene.camera.orientation[0]
    viewer.scene.camera.orientation = (depth, vertical, horizontal)
