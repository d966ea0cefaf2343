"""OME-Zarr images in, as volumes.

The finest level, at the size and place that the file states.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import GeometryError, ImageFileError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.choosing import choose_part
from napari_sam2.io.ngff import image_of
from napari_sam2.io.payload import check_total_memory
from napari_sam2.io.zarr_store import files_of_array, is_zarr, missing_pieces, open_zarr, read_array

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.channel_display import ChannelDisplay
    from napari_sam2.io.ngff import NgffImage
    from napari_sam2.io.zarr_store import ZarrFile

__all__ = ["files_of_zarr", "is_colour", "only_image", "read_zarr", "volume_of"]

_PRIMARIES = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def read_zarr(path: str | os.PathLike[str], *, volume_index: int | None = None) -> Volume:
    """Read an OME-Zarr image of version 0.4 or 0.5 as a volume.

    Parameters
    ----------
    path : path-like
        A folder, a zip file that holds one, or the folder of one image inside another.
    volume_index : int, optional
        Which channel or moment, counted from 0 with the axes in stored order, the last one fastest.

    Returns
    -------
    Volume
        Voxels (x, y, z) of the finest level; the affine is scale and translation, in mm. OME-Zarr states no
        orientation, so it has none.

    Raises
    ------
    ImageFileError
        If it is damaged, holds several images, or is of another version.
    SeveralVolumesError
        If it holds several channels or moments and none is chosen.
    GeometryError
        If it states a unit of length for some axes only.
    EnvironmentLacksError
        If zarr is not installed.
    """
    with open_zarr(path) as file:
        return volume_of(file, only_image(file), volume_index)


def files_of_zarr(path: Path) -> tuple[Path, ...]:
    """All files of an OME-Zarr folder, or the zip file."""
    return (path,) if path.is_file() else tuple(sorted(file for file in path.rglob("*") if file.is_file()))


def names_of_channels(path: Path) -> tuple[str, ...]:
    """What a file calls its channels, in their order.

    Empty for other files than OME-Zarr, and where it says nothing.
    """
    if not is_zarr(path):
        return ()
    with open_zarr(path) as file:
        return tuple(channel.name for channel in image_of(file.attributes(only_image(file)), file.name).channels)


def volume_of(file: ZarrFile, place: str, volume_index: int | None = None) -> Volume:
    """One image of an open file as a volume; see `read_zarr`.

    Parameters
    ----------
    file : ZarrFile
        Open.
    place : str
        The path of the image's group in it.
    volume_index : int, optional
        Which channel or moment.
    """
    image = image_of(file.attributes(place), file.name)
    array_path = f"{place}/{image.levels[0].path}".strip("/")
    array = file.array(array_path)
    if len(array.shape) != len(image.axes) or 0 in array.shape:
        raise ImageFileError(f"{file.name} is damaged: its axes and its array do not fit together; write it again.")
    letters = image.letters
    affine, notes = _geometry(image, file.name)
    colours = is_colour(image, array)
    kept = [letters.index(axis) for axis in "XYZ" if axis in letters] + ([letters.index("C")] if colours else [])
    check_total_memory(file.name, math.prod(array.shape[axis] for axis in kept) * array.dtype.itemsize)
    names = tuple(channel.name for channel in image.channels)
    chosen, told = choose_part(letters, array.shape, kept, names, volume_index, file.name)
    voxels = np.transpose(read_array(array, chosen, file.name), [sorted(kept).index(axis) for axis in kept])
    if "Z" not in letters:
        voxels = np.expand_dims(voxels, 2)
    if voxels.dtype == bool:
        voxels = voxels.astype(np.uint8)
    elif voxels.dtype == np.float16:
        voxels = voxels.astype(np.float32)
    files = files_of_array(file.path, array_path)
    source = Source(
        file.path.name,
        file.path.absolute(),
        sha256_of(*files),
        "ome-zarr",
        notes=(*notes, *told, *missing_pieces(array, file.name)),
        files=files,
        display=None if colours else _display(image.channels, letters, chosen),
    )
    return Volume(np.ascontiguousarray(voxels), affine, oriented=False, source=source)


def _display(channels: tuple[ChannelDisplay, ...], letters: str, chosen: tuple[Any, ...]) -> ChannelDisplay | None:
    """What the file says of the channel that was chosen."""
    number = chosen[letters.index("C")] if "C" in letters else 0
    return channels[number] if number < len(channels) else None


def is_colour(image: NgffImage, array: Any) -> bool:
    """Whether three channels are red, green and blue of one picture.

    Shown in these colours over all 8 bits.
    """
    if "C" not in image.letters or array.dtype != np.uint8 or array.shape[image.letters.index("C")] != 3:
        return False
    return len(image.channels) == 3 and all(map(_is_primary, image.channels, _PRIMARIES))


def _is_primary(channel: ChannelDisplay, colour: tuple[int, int, int]) -> bool:
    return channel.colour == colour and channel.shown and channel.window in (None, (0.0, 255.0))


def only_image(file: ZarrFile) -> str:
    """The path of the one image that a file holds.

    Raises
    ------
    ImageFileError
        If it holds none or several.
    """
    images = file.images()
    if len(images) == 1:
        return images[0]
    if not images:
        raise ImageFileError(f"{file.name} holds no image of OME-Zarr; give the folder with its multiscales.")
    raise ImageFileError(
        f"{file.name} holds {len(images)} images; give the folder of one, such as {file.path.name}/{images[0]}."
    )


def _geometry(image: NgffImage, name: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The affine (x, y, z to mm).

    And what it does not rest on.
    """
    letters, level = image.letters, image.levels[0]
    affine = np.eye(4)
    units = [image.millimetres(letter) for letter in "XYZ" if letter in letters]
    named = [bool(image.axes[letters.index(letter)].unit) for letter in "XYZ" if letter in letters]
    if any(named) and any(unit is None for unit in units):
        raise GeometryError(
            f"{name} states no usable unit of length for some of its axes, so distances are not known; state one for "
            "all."
        )
    for world, letter in enumerate("XYZ"):
        if letter in letters:
            axis = letters.index(letter)
            unit = image.millimetres(letter) or 1.0
            affine[world, world] = level.scale[axis] * unit
            affine[world, 3] = level.translation[axis] * unit
    notes = [] if any(named) else ["No unit of length is stated; the scale is taken as millimetres."]
    if "Z" not in letters:
        notes.append("There is one plane only; its thickness is taken as 1 mm.")
    return affine, tuple(notes)
