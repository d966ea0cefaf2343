"""A slice of a scan with its objects, as a picture.

Small, and in colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.core.labels import compose_slice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["plane_picture", "thumbnail"]

SHARE: Final = 0.45
"""How much of an object's colour covers the image, as in the picture itself."""

THUMBNAIL: Final = 96
"""Pixels of the longer side."""


def plane_picture(work: ScanWork, axis: int, index: int) -> NDArray[np.uint8]:
    """Slice `index` across a voxel axis, as napari shows it.

    Windowed, with the objects in their colours.

    Returns
    -------
    (rows, columns, 3) uint8 array
        In the layout of ``volume.plane(axis)``, one element for each voxel.
    """
    volume, snapshot = work.shown.volume, work.snapshot
    stored = volume.plane(axis).take(volume.voxels, index)
    if volume.is_rgb or snapshot.window is None:
        grey = np.asarray(stored, dtype=np.float32) / 255
    else:
        grey = np.asarray(snapshot.window.apply(stored), dtype=np.float32)
    picture = grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)
    picture = np.array(picture[..., :3] * 255, dtype=np.float32)
    masks = [obj.masks for obj in snapshot.objects.values() if obj.object_id not in work.result.hidden]
    labels = compose_slice(volume, masks, axis, index, snapshot.overlap)
    for object_id in np.unique(labels[labels > 0]).tolist():
        inside = labels == object_id
        colour = np.array(work.result.colour_of(object_id), dtype=np.float32) * 255
        picture[inside] = picture[inside] * (1 - SHARE) + colour * SHARE
    return np.clip(picture, 0, 255).astype(np.uint8)


def thumbnail(work: ScanWork) -> NDArray[np.uint8] | None:
    """The fullest slice of the largest object, made small.

    None while nothing has a mask.
    """
    largest = max(work.snapshot.objects.values(), key=lambda obj: obj.n_voxels, default=None)
    if largest is None or not largest.n_voxels:
        return None
    index = max(largest.slices, key=lambda i: largest.slices[i].mask.n_voxels)
    picture = plane_picture(work, largest.axis, index)
    step = max(1, round(max(picture.shape[:2]) / THUMBNAIL))
    return picture[::step, ::step]
