"""Coordinates between a napari layer and its file's voxels.

Voxels are (i, j, k).

The only module that converts between layers of a scan and voxels; slides have `slide/view.py`. Everything goes
through the layers' own transforms (`world_to_data`, `data_to_world`), so scale, negative scale, translation and units
are napari's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.io.axes_map import AxesMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import Dims
    from napari.layers import Layer
    from numpy.typing import ArrayLike, NDArray

__all__ = ["LayerGrid", "layer_to_layer"]

IN_PLANE_2D = AxesMap((0, 1, 2))
"""A 2-D picture is a volume (rows, columns, 1), shown as it is stored."""


@dataclass(frozen=True, slots=True)
class LayerGrid:
    """How an image layer lies on a volume.

    Attributes
    ----------
    axes_map : AxesMap
        Between the layer's last three axes and (i, j, k); of a 2-D layer, as if it had a last axis of 1.
    shape : tuple of int
        The volume's (I, J, K).
    ndim : int
        The layer's own number of axes: 2, 3, or more when it has leading axes such as time.
    leading : tuple of int
        Which element of the leading axes the volume is.
    """

    axes_map: AxesMap
    shape: tuple[int, int, int]
    ndim: int = 3
    leading: tuple[int, ...] = ()

    @property
    def n_spatial(self) -> int:
        """Axes that a layer made for this image needs: 2 or 3."""
        return min(self.ndim, 3)

    def stored(self, layer_array: NDArray[Any]) -> NDArray[Any]:
        """A layer's spatial array as an (i, j, k[, C]) view.

        It is 2-D or 3-D, plus channels.
        """
        if self.ndim == 2:
            layer_array = np.expand_dims(layer_array, 2)
        return self.axes_map.stored(layer_array)

    def shown(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """An (i, j, k) array as a layer shows it, a view."""
        array = self.axes_map.shown(voxels)
        return array[..., 0] if self.ndim == 2 else array

    def to_voxel(self, points: ArrayLike) -> NDArray[np.float64]:
        """Voxel coordinates (N, 3) of data coordinates (N, ndim).

        Of the image layer.
        """
        positions = np.atleast_2d(np.asarray(points, dtype=np.float64))[:, -self.n_spatial :]
        if self.ndim == 2:
            positions = np.concatenate([positions, np.zeros((len(positions), 1))], axis=1)
        return self.axes_map.to_voxel(positions, self.shape)

    def to_data(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Spatial data coordinates (N, n_spatial) of voxel coordinates (N, 3)."""
        points = self.axes_map.to_array(np.atleast_2d(np.asarray(voxels, dtype=np.float64)), self.shape)
        return points[:, : self.n_spatial]

    def world_to_voxel(self, image: Layer, world: Sequence[float]) -> NDArray[np.float64]:
        """Voxel coordinates (3,), not rounded, of a napari world position."""
        voxel: NDArray[np.float64] = self.to_voxel(image.world_to_data(world))[0]
        return voxel

    def contains(self, voxel: ArrayLike) -> bool:
        """Whether a voxel coordinate lies inside the volume."""
        point = np.asarray(voxel)
        return bool(((point >= -0.5) & (point <= np.array(self.shape) - 0.5)).all())

    def slice_on_view(self, image: Layer, dims: Dims) -> tuple[int, int] | None:
        """The voxel axis and slice index that the canvas shows.

        None in 3-D view.
        """
        if dims.ndisplay != 2:
            return None
        if self.ndim == 2:
            return 2, 0
        axis = self.viewer_axis_to_voxel(_hidden_axis(dims))
        if axis is None:
            return None
        voxel = self.world_to_voxel(image, dims.point)
        index = int(np.floor(voxel[axis] + 0.5))
        return axis, min(max(index, 0), self.shape[axis] - 1)

    def viewer_axis_to_voxel(self, from_last: int) -> int | None:
        """The voxel axis that a viewer axis shows.

        Counted from the last one (1, 2, 3).
        """
        spatial = self.n_spatial - from_last
        return self.axes_map.axes.index(spatial) if 0 <= spatial < 3 else None

    def voxel_axis_to_viewer(self, axis: int, viewer_ndim: int) -> int:
        """The viewer axis that shows voxel axis `axis`."""
        return viewer_ndim - self.n_spatial + self.axes_map.axes[axis]

    def world_of_slice(self, image: Layer, axis: int, index: int, viewer_ndim: int) -> tuple[int, float]:
        """Where the viewer must go to show a slice.

        The viewer axis to move along, and the world position, that show slice `index` across `axis`.
        """
        voxel = (np.array(self.shape) - 1) / 2
        voxel[axis] = index
        position = np.concatenate([self.leading, self.to_data(voxel)[0]])
        world = image.data_to_world(position)
        viewer_axis = self.voxel_axis_to_viewer(axis, viewer_ndim)
        return viewer_axis, float(world[viewer_axis - viewer_ndim])


def layer_to_layer(points: ArrayLike, source: Layer, target: Layer) -> NDArray[np.float64]:
    """Data coordinates of one layer in another.

    (N, target.ndim) of (N, source.ndim).

    Raises
    ------
    ValueError
        If the source has fewer axes than the target, so that the slice is not known.
    """
    positions = np.atleast_2d(np.asarray(points, dtype=np.float64))
    if source.ndim < target.ndim:
        raise ValueError(f"{source.name!r} has {source.ndim} axes, {target.name!r} has {target.ndim}.")
    return np.array([target.world_to_data(source.data_to_world(point)[-target.ndim :]) for point in positions])


def _hidden_axis(dims: Dims) -> int:
    """The innermost viewer axis that is not displayed, counted from the last (1 is the last)."""
    return int(dims.ndim - max(dims.not_displayed))
