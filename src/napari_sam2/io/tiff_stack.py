"""TIFF stacks along z in, as volumes.

OME-TIFF, and stacks of ImageJ and Fiji with their calibration.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import ImageFileError
from napari_sam2.io.channel_displays import displays_of_imagej, displays_of_ome
from napari_sam2.io.choosing import choose_part
from napari_sam2.io.payload import check_claim, check_total_memory
from napari_sam2.io.photometric import samples_of, to_8_bits
from napari_sam2.io.resolution import images_of_ome, microns_of, number_of
from napari_sam2.io.tiff_pages import check_alike

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["is_stack", "read_stack"]


def is_stack(tiff: Any) -> bool:
    """Whether the first picture of a TIFF has several planes along z."""
    series = tiff.series[0] if tiff.series else None
    return series is not None and "Z" in series.axes and series.shape[series.axes.index("Z")] > 1


def read_stack(
    file: Path, tiff: Any, volume_index: int | None
) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
    """The voxels of a stack, with the sizes that the file states.

    Parameters
    ----------
    file : Path
        For messages and the size on disk.
    tiff : tifffile.TiffFile
        Open; `is_stack` holds.
    volume_index : int, optional
        Which channel or moment, counted from 0 in stored order, the last axis fastest.

    Returns
    -------
    voxels : (columns, rows, planes[, 3]) array
    affine : (4, 4) array
        Voxel to mm; 1 mm along every axis where one of the three sizes is not stated.
    notes : tuple of str

    Raises
    ------
    SeveralVolumesError, ImageFileError
        If none of several is chosen, or the pixels are of a kind that is not read.
    """
    series = tiff.series[0]
    letters, shape = series.axes, series.shape
    if any(axis not in "XYZCTS" for axis, n in zip(letters, shape, strict=True) if n > 1):
        raise ImageFileError(f"{file.name} has the axes {letters}; a stack along z with channels and moments is read.")
    size = math.prod(shape) * np.dtype(series.dtype).itemsize
    check_total_memory(file.name, size)
    if not series.is_multifile:
        check_claim(file, size)
    check_alike(tiff, file.name)
    samples = samples_of(series.keyframe, file.name)
    kept = [letters.index(axis) for axis in ("X", "Y", "Z", "S") if axis in letters]
    displays = displays_of_ome(tiff.ome_metadata, 0) if tiff.is_ome else ()
    n_channels = shape[letters.index("C")] if "C" in letters else 1
    displays = displays or displays_of_imagej(tiff.imagej_metadata, n_channels)
    names = [display.name for display in displays]
    chosen, notes = choose_part(letters, shape, kept, names, volume_index, file.name)
    voxels = np.transpose(series.asarray()[chosen], [sorted(kept).index(axis) for axis in kept])
    if "S" in letters or not samples.is_plain:
        planes = voxels if "S" in letters else voxels[..., np.newaxis]
        applied = np.stack([samples.apply(planes[:, :, k]) for k in range(planes.shape[2])], axis=2)
        voxels = to_8_bits(applied) if samples.is_colour else applied[..., 0]
    sizes = _sizes(tiff)
    if sizes is None:
        notes = (*notes, "The sizes of voxels are not stated along all axes; 1 mm is taken along each.")
    return np.ascontiguousarray(voxels), np.diag([*(sizes or (1.0, 1.0, 1.0)), 1.0]), notes


def _sizes(tiff: Any) -> tuple[float, float, float] | None:
    """Millimetres along x, y and z, if all three are stated."""
    stated = _sizes_of_ome(tiff.ome_metadata) if tiff.is_ome else _sizes_of_imagej(tiff)
    if any(size is None or not 0 < size < math.inf for size in stated):
        return None
    x, y, z = (float(size) / 1000 for size in stated if size is not None)
    return x, y, z


def _sizes_of_ome(xml: str | None) -> tuple[float | None, ...]:
    images = images_of_ome(xml)
    pixels = next((e for e in images[0].iter() if re.sub(r"^\{.*\}", "", e.tag) == "Pixels"), None) if images else None
    if pixels is None:
        return None, None, None
    sizes = []
    for axis in "XYZ":
        unit = microns_of(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        size = number_of(pixels.get(f"PhysicalSize{axis}"))
        sizes.append(None if unit is None or size is None else size * unit)
    return tuple(sizes)


def _sizes_of_imagej(tiff: Any) -> tuple[float | None, ...]:
    """Microns: pixels per unit in the resolution tags.

    The distance of planes and the unit in the description.

    Fiji writes ``xunit`` alone where all axes share it, and ``yunit`` or ``zunit`` beside it where they do not.
    """
    said, tags = tiff.imagej_metadata or {}, tiff.series[0].keyframe.tags
    sizes: list[float | None] = []
    for axis, tag in (("x", "XResolution"), ("y", "YResolution")):
        unit = microns_of(said.get(f"{axis}unit", said.get("unit", "")))
        density = number_of(tags[tag].value) if tag in tags else None
        sizes.append(None if unit is None or not density else unit / density)
    unit = microns_of(said.get("zunit", said.get("unit", "")))
    spacing = number_of(said.get("spacing"))
    sizes.append(None if unit is None or spacing is None else abs(spacing) * unit)
    return tuple(sizes)
