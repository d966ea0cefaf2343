"""The slice of a scan that is on the screen.

And how to bring another one there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.canvas.planes import show_plane, show_slice, turn_upright

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image

    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.plugin.scan.volumes import ShownVolume

__all__ = ["ScanView"]


class ScanView:
    """What the canvas shows of a scan.

    Parameters
    ----------
    workspace : Workspace
        Of the viewer.
    image : Image
        The layer.
    shown : ShownVolume
        Its volume and grid.
    """

    def __init__(self, workspace: Workspace, image: Image, shown: ShownVolume) -> None:
        self._workspace = workspace
        self._image = image
        self._shown = shown
        self._last_axis = shown.volume.default_slice_axis

    def slice(self) -> tuple[int, int] | None:
        """The voxel axis and slice index that the canvas shows.

        None in 3-D view.
        """
        if not self._workspace.has_viewer:
            return None
        return self._shown.grid.slice_on_view(self._image, self._workspace.viewer.dims)

    def axis(self) -> int:
        """The voxel axis across which the canvas shows slices.

        The default one in 3-D view.
        """
        on_view = self.slice()
        return self._shown.volume.default_slice_axis if on_view is None else on_view[0]

    def go_to(self, axis: int, index: int) -> None:
        """Show slice `index` across a voxel axis."""
        show_slice(self._workspace.viewer, self._image, self._shown, axis, index)

    def look_at(self, voxel: Sequence[float]) -> None:
        """Move the picture when a voxel (3,) lies outside of it.

        The zoom stays.
        """
        viewer = self._workspace.viewer
        if viewer.dims.ndisplay != 2 or self._shown.grid.n_spatial < 3:
            return
        camera, canvas = viewer.scene.camera, viewer.canvas.size
        world = self._image.data_to_world([*self._shown.grid.leading, *self._shown.grid.to_data(voxel)[0]])
        at = [world[axis - viewer.dims.ndim] for axis in viewer.dims.displayed]
        away = [abs(a - c) * camera.zoom for a, c in zip(at, camera.center[-2:], strict=True)]
        if any(distance > extent / 2 for distance, extent in zip(away, canvas, strict=True)):
            camera.center = (*camera.center[:-2], *at)

    def remember(self) -> None:
        """Remember the plane, for when the scan is chosen again."""
        self._last_axis = self.axis()

    def turn_upright(self) -> None:
        """Show the remembered plane upright.

        Another scan may have had its axes in another order.
        """
        viewer = self._workspace.viewer
        if self._shown.volume.oriented and viewer.dims.ndisplay == 2:
            turn_upright(viewer, self._image, self._shown, self._last_axis)

    def turn_to(self, plane: str) -> None:
        """Show ``axial``, ``coronal`` or ``sagittal`` slices."""
        show_plane(self._workspace.viewer, self._image, self._shown, plane)
