"""Label pictures as objects of a slide.

What Cellpose, StarDist and others write.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import GeometryError, ImageFileError, NapariSam2Error
from napari_sam2.io.payload import check_total_memory, existing_file
from napari_sam2.slides.objects import SlideObject
from napari_sam2.slides.polygons import mask_to_polygon

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["objects_of_labels", "read_label_picture"]

MOST_IDS: Final = 2_000_000
"""Objects of one picture; more means that it is no label picture."""

LARGEST_ID: Final = 2**53
"""Of ids stored as floating point: beyond it not every whole number has a value of its own."""

_NPY: Final = b"\x93NUMPY"


def read_label_picture(path: str | os.PathLike[str], shape: tuple[int, int]) -> list[SlideObject]:
    """Read a picture whose values are ids of objects, 0 for none.

    Parameters
    ----------
    path : path-like
        TIFF, PNG, OME-Zarr labels, or a NumPy array (``.npy``) of numbers.
    shape : tuple of int
        (rows, columns) of the slide.

    Returns
    -------
    list of SlideObject
        By rising id, named ``object ID``; outlines run along the pixels' edges.

    Raises
    ------
    ImageFileError
        If it is damaged, holds fractions or colours, or Python objects.
    GeometryError
        If it has another size than the slide.
    """
    from napari_sam2.io.zarr_store import is_zarr

    file = Path(path) if is_zarr(path) else existing_file(path)
    labels = _zarr(file) if file.is_dir() or is_zarr(file) else _npy(file) if _is_npy(file) else _picture(file)
    if labels.shape != shape:
        raise GeometryError(
            f"{file.name} has {labels.shape[1]} x {labels.shape[0]} pixels and the slide {shape[1]} x {shape[0]}; give "
            "the labels of this very picture at full size."
        )
    return objects_of_labels(labels, file.name)


def objects_of_labels(labels: NDArray[Any], name: str) -> list[SlideObject]:
    """Objects of a label picture (rows, columns).

    Raises
    ------
    ImageFileError
        If its values are no ids.
    """
    from scipy import ndimage

    if labels.dtype.kind == "f":
        whole = np.rint(labels)
        if not np.array_equal(whole, labels):  # also where a value is no number
            raise ImageFileError(f"{name} holds fractions or non-numbers, so it is an image and not a label picture.")
        if np.abs(whole).max(initial=0) > LARGEST_ID:
            raise ImageFileError(f"{name} holds values beyond 2 to the 53rd, which are no ids; save whole numbers.")
        labels = whole.astype(np.int64)
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if labels.dtype.kind not in "ui" or (labels.size and labels.min() < 0):
        raise ImageFileError(f"{name} holds values that are no ids; ids are whole numbers from 0.")
    ids, places = np.unique(labels, return_inverse=True)
    first = 0 if len(ids) and ids[0] == 0 else 1
    if len(ids) > MOST_IDS:
        raise ImageFileError(f"{name} holds {len(ids)} values, so it is an image and not a label picture.")
    dense = places.reshape(labels.shape).astype(np.int32) + first
    objects = []
    for number, box in enumerate(ndimage.find_objects(dense), start=1):
        if box is None:
            continue
        outline = mask_to_polygon(dense[box] == number, box[0].start, box[1].start, tolerance=0)
        object_id = int(ids[number - first])
        objects.append(SlideObject(outline, name=f"object {object_id}", kind="detection"))
    return objects


def _is_npy(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(6) == _NPY


def _npy(file: Path) -> NDArray[Any]:
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
        if not dtype.hasobject:
            check_total_memory(file.name, int(np.prod(shape, dtype=np.float64)) * dtype.itemsize)
            array: NDArray[Any] = np.load(file, allow_pickle=False)
            return array.reshape(array.shape[-2:]) if array.ndim == 3 and array.shape[0] == 1 else array
    except NapariSam2Error:
        raise
    except Exception as error:  # NumPy evaluates the header, which raises many kinds
        raise ImageFileError(f"{file.name} is damaged: it is no array of NumPy; save it again.") from error
    raise ImageFileError(
        f"{file.name} holds Python objects, which could run code and are never opened; in Cellpose save the masks as "
        "TIFF or PNG (cellpose --save_tif), or its outlines for ImageJ (--save_rois)."
    )


def _zarr(file: Path) -> NDArray[Any]:
    from napari_sam2.io.zarr_labels import label_group_of
    from napari_sam2.io.zarr_store import open_zarr
    from napari_sam2.io.zarr_volume import volume_of

    with open_zarr(file) as opened:
        return _one_plane(volume_of(opened, label_group_of(opened)).voxels.transpose(1, 0, 2), file.name)


def _picture(file: Path) -> NDArray[Any]:
    from napari_sam2.io.read import read_volume

    volume = read_volume(file)
    if volume.is_rgb:
        raise ImageFileError(f"{file.name} is a colour picture, not a label picture; save the ids themselves.")
    return _one_plane(volume.voxels, file.name)


def _one_plane(voxels: NDArray[Any], name: str) -> NDArray[Any]:
    if voxels.shape[2] != 1:
        raise ImageFileError(f"{name} holds {voxels.shape[2]} planes; give the labels of one.")
    plane: NDArray[Any] = voxels[:, :, 0]
    return plane
