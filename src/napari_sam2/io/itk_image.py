"""Voxels and affine of files that SimpleITK decodes: NRRD and MetaImage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import ImageFileError
from napari_sam2.io.lps import affine_from_lps

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_with_itk"]


def read_with_itk(path: Path, volume_index: int | None) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read voxels (I, J, K[, 3]) and the RAS+ affine of a file whose size has been checked.

    Raises
    ------
    ImageFileError
        If ITK cannot read it, or it holds several volumes and `volume_index` is None.
    """
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].replace(str(path), path.name)
        raise ImageFileError(f"{path.name} cannot be read ({reason}); export it again.") from error
    array = np.array(SimpleITK.GetArrayViewFromImage(image))
    channels = image.GetNumberOfComponentsPerPixel()
    ndim = image.GetDimension()
    # ITK arrays are (k, j, i[, channel]); stored order is i, j, k.
    voxels = array.transpose(*reversed(range(ndim)), *range(ndim, array.ndim))
    if array.dtype.kind == "c":
        raise ImageFileError(f"{path.name} holds complex numbers; save their magnitude and use that.")
    if channels == 3 and array.dtype == np.uint8:
        if ndim > 3:
            raise ImageFileError(f"{path.name} holds a series of colour volumes; save one of them.")
    elif channels > 1 or ndim == 4:
        voxels = _chosen(np.moveaxis(voxels, -1, 0), volume_index, path.name)
    elif volume_index not in (None, 0):
        raise ImageFileError(f"{path.name} has no volume {volume_index}: it holds one volume, 0.")
    if ndim == 2:
        voxels = voxels[:, :, np.newaxis]
    return voxels, _affine(image, ndim)


def _chosen(volumes: NDArray[Any], volume_index: int | None, name: str) -> NDArray[Any]:
    count = len(volumes)
    if volume_index is None:
        if count > 1:
            raise ImageFileError(
                f"{name} holds {count} volumes; choose one with --volume N (volume_index=N in Python), "
                f"0 to {count - 1}."
            )
        volume_index = 0
    if not 0 <= volume_index < count:
        raise ImageFileError(f"{name} has no volume {volume_index}: it holds {count}, 0 to {count - 1}.")
    chosen: NDArray[Any] = volumes[volume_index]
    return chosen


def _affine(image: Any, ndim: int) -> NDArray[np.float64]:
    spatial = min(ndim, 3)
    directions, origin = np.eye(3), np.zeros(3)
    cosines = np.array(image.GetDirection()).reshape(ndim, ndim)[:spatial, :spatial]
    directions[:spatial, :spatial] = cosines * image.GetSpacing()[:spatial]
    origin[:spatial] = image.GetOrigin()[:spatial]
    return affine_from_lps(directions, origin)
