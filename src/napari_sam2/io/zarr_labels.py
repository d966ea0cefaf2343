"""OME-Zarr label groups in: ids on the grid of an image.

With their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.io.labels import labels_of
from napari_sam2.io.ngff import attributes_of, image_of
from napari_sam2.io.zarr_store import open_zarr, read_array
from napari_sam2.io.zarr_volume import volume_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume
    from napari_sam2.io.zarr_store import ZarrFile

__all__ = ["label_group_of", "read_zarr_labels"]

AFFINE_TOLERANCE: Final = 1e-3
"""Millimetres by which a corner may be off: far less than a voxel, far more than rounding."""

PLACE_TOLERANCE: Final = 0.01
"""Parts of a voxel by which labels may lie off their image, both in OME-Zarr: rounding of what is written."""


def read_zarr_labels(path: str | os.PathLike[str], volume: Volume) -> tuple[NDArray[Any], dict[int, str]]:
    """Read a label group on the grid of an image.

    Parameters
    ----------
    path : path-like
        The folder of a label group, or an OME-Zarr image with one; also of this program's labels.
    volume : Volume
        The image.

    Returns
    -------
    labels : (I, J, K) array
        uint8, uint16 or int32, by the largest id.
    names : dict of int to str
        Names by id, as far as the file has them.

    Raises
    ------
    ImageFileError
        If there is no label group, or several.
    GeometryError
        If they lie on another grid.
    """
    with open_zarr(path) as file:
        place = label_group_of(file)
        attributes = file.attributes(place)
        image = image_of(attributes, file.name)
        names = dict(image.label_names or {})
        own = attributes.get("napari_sam2")
        if isinstance(own, dict) and "affine" in own:
            return _own_labels(file, f"{place}/{image.levels[0].path}".strip("/"), own, volume), names
        label_volume = volume_of(file, place)
    off = np.abs(label_volume.affine[:3, 3] - volume.affine[:3, 3]) / np.array(volume.spacing)
    if volume.source.file_format == "ome-zarr" and off.max() > PLACE_TOLERANCE:
        raise GeometryError(
            f"{file.name} lies {off.max():.3g} voxels off {volume.source.name}; it belongs to another image."
        )
    return labels_of(label_volume, volume), names


def label_group_of(file: ZarrFile) -> str:
    """The path of the only label group of an open file.

    Empty when it is one itself.

    Raises
    ------
    ImageFileError
        If there is none, or several.
    """
    if "image-label" in attributes_of(file.attributes()):
        return ""
    images = file.images()
    groups = [group for image in images for group in file.label_groups(image)]
    if not groups:
        raise ImageFileError(
            f"{file.name} holds no labels of OME-Zarr; give an image with a label group, or the group."
        )
    if len(groups) > 1:
        listed = ", ".join(group.rpartition("/")[2] for group in groups[:6])
        raise ImageFileError(
            f"{file.name} holds {len(groups)} label groups ({listed}); give the folder of one, such as "
            f"{file.path.name}/{groups[0]}."
        )
    return groups[0]


def _own_labels(file: ZarrFile, array_path: str, own: Mapping[str, Any], volume: Volume) -> NDArray[Any]:
    """Labels that this program wrote: their full affine is compared."""
    array = file.array(array_path)
    try:
        affine = np.array(own["affine"], dtype=np.float64).reshape(4, 4)
    except (TypeError, ValueError) as error:
        raise ImageFileError(f"{file.name} is damaged: its affine is none; save the labels again.") from error
    if array.shape != volume.shape[::-1]:
        raise GeometryError(f"{file.name} has {array.shape[::-1]} voxels, {volume.source.name} {volume.shape}.")
    corners = np.array([[0, 0, 0], [n - 1 for n in volume.shape]], dtype=np.float64)
    off = np.abs(corners @ affine[:3, :3].T + affine[:3, 3] - volume.voxel_to_world(corners)).max()
    if not off <= AFFINE_TOLERANCE:
        raise GeometryError(f"{file.name} lies {off:.3g} mm off {volume.source.name}; it belongs to another grid.")
    return np.ascontiguousarray(read_array(array, (slice(None),) * 3, file.name).transpose(2, 1, 0))
