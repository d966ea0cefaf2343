"""Label maps in and out.

Whole numbers on the grid of their image.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import GeometryError, ImageFileError, SeveralVolumesError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import check_folder, check_free
from napari_sam2.io.formats import function, label_suffixes, suffix_of
from napari_sam2.io.guard import is_one_of
from napari_sam2.io.lattice import onto_grid
from napari_sam2.io.payload import existing_file
from napari_sam2.io.read import formats_of, read_volume
from napari_sam2.io.zarr_store import is_zarr

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from napari_sam2.core.volume import Volume

__all__ = [
    "WRITABLE",
    "check_labels_fit",
    "check_output",
    "checked_labels",
    "labels_of",
    "read_labels",
    "read_named_labels",
    "source_has_changed",
    "write_labels",
]

logger = logging.getLogger(__name__)

WRITABLE: Final = label_suffixes()

GRID_TOLERANCE: Final = 0.05
"""Two grids are the same when no corner is further apart than this part of the finest spacing. Headers
store float32, and programs recompute them; a twentieth of a voxel is far below what a label can show."""

ROUNDING: Final = 1e-3
"""By this much an id may differ from a whole number: what scaling or a resampling of the same grid leaves."""

_LARGEST_ID: Final = 2**31 - 1


def read_labels(path: str | os.PathLike[str], volume: Volume) -> NDArray[Any]:
    """Read a label map that belongs to `volume`.

    Parameters
    ----------
    path : path-like
        Any readable format, a Slicer segmentation, a DICOM SEG, or an OME-Zarr label group.
        Floating-point and 64-bit files are accepted when they hold whole numbers.
    volume : Volume
        The image; shape and geometry must agree.

    Returns
    -------
    (I, J, K) array
        uint8, uint16 or int32, by the largest id.

    Raises
    ------
    ImageFileError
        If the file cannot be read or holds something else than ids.
    GeometryError
        If it lies on another grid.
    """
    return read_named_labels(path, volume)[0]


def read_named_labels(path: str | os.PathLike[str], volume: Volume) -> tuple[NDArray[Any], dict[int, str]]:
    """Read a label map like `read_labels`, with its own names.

    Those that the file itself holds.

    Returns
    -------
    labels : (I, J, K) array
        uint8, uint16 or int32, by the largest id.
    names : dict of int to str
        By id; empty for formats without names.

    Raises
    ------
    ImageFileError, GeometryError
        As `read_labels`.
    """
    if is_zarr(path):
        return function("zarr_labels:read_zarr_labels")(Path(path), volume)  # type: ignore[no-any-return]
    file = existing_file(path)
    for row in formats_of(file):
        if row.is_labels and function(row.is_labels)(file):
            named: tuple[NDArray[Any], dict[int, str]] = function(row.read_labels)(file, volume)
            return named
    try:
        label_volume = read_volume(file)
    except SeveralVolumesError as error:
        raise ImageFileError(
            f"{file.name} holds several volumes, so it is no label map but one mask or probability per class "
            "(one-hot); save the number of the class of each voxel as one volume of whole numbers."
        ) from error
    return labels_of(label_volume, volume), {}


def labels_of(label_volume: Volume, volume: Volume) -> NDArray[Any]:
    """Ids of a volume on the grid of another one.

    Errors as `read_labels`.
    """
    name = label_volume.source.name
    if label_volume.is_rgb:
        raise ImageFileError(f"{name} is a colour image, not a label map.")
    values = _on_the_grid(label_volume, volume)
    if values.dtype.kind == "f":
        whole = np.rint(values)
        if not np.isfinite(values).all() or np.abs(values - whole).max() > ROUNDING:
            raise ImageFileError(f"{name} holds fractions or non-numbers, so it is an image and not a label map.")
        if np.abs(values).max() > _LARGEST_ID:
            raise ImageFileError(f"{name} holds ids up to {values.max():g}; ids run from 0 to {_LARGEST_ID}.")
        if (values != whole).any():
            logger.warning("%s holds ids that are not quite whole numbers; they were rounded.", name)
        values = whole.astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _LARGEST_ID:
        raise ImageFileError(f"{name} holds ids from {low} to {high}; ids run from 0 to {_LARGEST_ID}.")
    return values.astype(label_dtype(high), copy=False)


def _on_the_grid(label_volume: Volume, volume: Volume) -> NDArray[Any]:
    """Voxels of a label map in the order of its image, turned if another program stored them otherwise."""
    try:
        check_labels_fit(label_volume, volume)
    except GeometryError:
        if not (label_volume.oriented and volume.oriented) or not _covers(label_volume, volume):
            raise
        turned = onto_grid(label_volume.voxels, label_volume.affine, volume, label_volume.source.name)
        logger.warning(
            "%s is stored in another order than %s; it was turned.", label_volume.source.name, volume.source.name
        )
        return turned
    return label_volume.voxels


def _covers(label_volume: Volume, volume: Volume) -> bool:
    """Whether two grids fill the same block of space, whatever the order of their axes."""
    blocks = []
    for grid in (label_volume, volume):
        ends = np.array([[-0.5] * 3, [n - 0.5 for n in grid.shape]])
        corners = np.array(np.meshgrid(*ends.T)).reshape(3, -1).T
        blocks.append(grid.voxel_to_world(corners))
    apart = np.linalg.norm(blocks[0][:, None] - blocks[1][None], axis=2).min(axis=1).max()
    return bool(apart <= GRID_TOLERANCE * min(volume.spacing))


def write_labels(
    labels: NDArray[Any], volume: Volume, path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a verified label map on the grid of `volume`.

    Parameters
    ----------
    labels : (I, J, K) array of integers or bool
        Ids in the volume's stored order, 0 for background.
    volume : Volume
        Whose geometry the file gets; bit for bit when it was read from NIfTI.
    path : path-like
        ``.nii`` or ``.nii.gz``.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserInputError
        If the labels are not ids on this grid, or the path cannot be used (see `check_output`).
    EnvironmentLacksError
        If the disk is full or fails; an earlier file is then unchanged.
    """
    target = check_output(path, volume, overwrite=overwrite)
    array = checked_labels(labels, volume)
    from napari_sam2.io.nifti_labels import write_nifti_labels

    write_nifti_labels(array, volume, target, overwrite=overwrite)
    return target


def checked_labels(labels: NDArray[Any], volume: Volume) -> NDArray[Any]:
    """Labels (I, J, K) in the narrowest type for their ids.

    Raises
    ------
    UserInputError
        If they are not ids.
    GeometryError
        If they have another shape than the volume.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "bui":
        raise UserInputError(f"Labels must be whole numbers; got {array.dtype}.")
    if array.shape != volume.shape:
        raise GeometryError(f"Labels must have the volume's shape {volume.shape}; got {array.shape}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > _LARGEST_ID:
        raise UserInputError(f"Label ids run from 0 to {_LARGEST_ID}; got {low} to {high}.")
    return array.astype(label_dtype(high))


def check_output(path: str | os.PathLike[str], volume: Volume, *, overwrite: bool = False) -> Path:
    """Refuse an output that could not be written.

    This comes before any time is spent on making it.

    Raises
    ------
    UserInputError
        If the ending is unknown, the folder is missing or closed to writing, the file exists and
        may not be replaced, or it is the image itself under any name.
    """
    target = Path(path)
    ending = suffix_of(target.name, WRITABLE)
    if ending is None or target.name.lower() in WRITABLE:
        raise UserInputError(f"{target.name}: label maps are written as {' or '.join(WRITABLE)}; use such a name.")
    check_folder(target)
    if is_one_of(target, (*volume.source.files, *([volume.source.path] if volume.source.path else []))):
        raise UserInputError(f"{target.name} is the image itself; choose another name for the label map.")
    check_free(target, overwrite=overwrite)
    stem = target.name[: -len(ending)]
    for other in WRITABLE:
        if other != ending and target.with_name(stem + other).exists():
            raise UserInputError(
                f"{stem + other} is in the same folder, and many programs refuse {stem + ending} "
                "beside it; choose another name."
            )
    return target


def source_has_changed(volume: Volume) -> bool:
    """Whether the image's file has changed since it was read.

    By its hash.

    Labels drawn on the old content would then lie beside the new one: say so before saving. A source
    without a file, or whose file is gone, has not changed: nothing contradicts it.
    """
    source = volume.source
    if not source.files or not all(file.is_file() for file in source.files):
        return False
    return sha256_of(*source.files) != source.sha256


def check_labels_fit(labels: Volume, volume: Volume) -> None:
    """Refuse labels that lie on another grid than the image.

    Raises
    ------
    GeometryError
        Saying how the grids differ.
    """
    name, image = labels.source.name, volume.source.name
    if labels.shape != volume.shape:
        raise GeometryError(
            f"{name} has {_times(labels.shape)} voxels, but {image} has "
            f"{_times(volume.shape)}; use the image that the labels were drawn on."
        )
    finest = min(volume.spacing)
    if not (labels.oriented and volume.oriented):
        # One of them does not say where it lies, so only sizes can be compared. Pictures have none.
        if "picture" in (labels.source.file_format, volume.source.file_format):
            return
        if np.abs(np.subtract(labels.spacing, volume.spacing)).max() > GRID_TOLERANCE * finest:
            raise GeometryError(
                f"{name} has voxels of {_mm(labels.spacing)} mm, but {image} of {_mm(volume.spacing)} mm; "
                "use the image that the labels were drawn on."
            )
        return
    i, j, k = (n - 1 for n in volume.shape)
    corners = np.array([[a, b, c] for a in (0, i) for b in (0, j) for c in (0, k)])
    apart = np.linalg.norm(labels.voxel_to_world(corners) - volume.voxel_to_world(corners), axis=1).max()
    if apart > GRID_TOLERANCE * finest:
        raise GeometryError(
            f"{name} does not lie on {image}: the grids are up to {apart:.3g} mm apart; resample the labels "
            "onto the image, or use the image they were drawn on."
        )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _mm(spacing: tuple[float, ...]) -> str:
    return " x ".join(f"{s:.3g}" for s in spacing)
