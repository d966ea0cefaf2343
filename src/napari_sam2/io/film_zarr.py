"""Films from OME-Zarr: one flat image over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import ImageFileError
from napari_sam2.io.film_read import Film
from napari_sam2.io.ngff import image_of
from napari_sam2.io.payload import check_total_memory
from napari_sam2.io.zarr_store import files_of_array, missing_pieces, open_zarr, read_array
from napari_sam2.io.zarr_volume import is_colour, only_image

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.io.ngff import NgffImage

__all__ = ["is_zarr_film", "read_zarr_film"]

SECONDS: Final = {"second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6, "minute": 60.0, "hour": 3600.0}
"""In units of time that OME-Zarr names."""

LARGEST_FRAME: Final = 4096
"""Pixels along a side up to which an image over time is opened as a film; a larger one is a slide of planes."""


def is_zarr_film(path: Path) -> bool:
    """Whether an OME-Zarr holds one image over time.

    Without depth, and of a size that a film is read whole at.
    """
    with open_zarr(path) as file:
        places = file.images()
        if len(places) != 1:
            return False
        image = image_of(file.attributes(places[0]), file.name)
        shape = file.array(f"{places[0]}/{image.levels[0].path}".strip("/")).shape
    size = dict(zip(image.letters, shape, strict=False))
    is_flat = all(size.get(letter, 1) == 1 for letter in "ZQ")
    return is_flat and size.get("T", 1) > 1 and max(size.get("Y", 0), size.get("X", 0)) <= LARGEST_FRAME


def read_zarr_film(path: Path) -> Film | None:
    """Read an image over time.

    None when it has no time. The finest level; of several planes or channels in each frame the first is read, and that
    is said.

    Raises
    ------
    ImageFileError
        If it is damaged, or holds several images.
    EnvironmentLacksError
        If zarr is not installed.
    """
    with open_zarr(path) as file:
        place = only_image(file)
        image = image_of(file.attributes(place), file.name)
        array_path = f"{place}/{image.levels[0].path}".strip("/")
        array = file.array(array_path)
        letters = image.letters
        if len(array.shape) != len(letters) or 0 in array.shape or not {"Y", "X"} <= set(letters):
            raise ImageFileError(f"{file.name} is damaged: its axes and its array do not fit together; write it again.")
        if "T" not in letters or array.shape[letters.index("T")] < 2:
            return None
        kept = "TYXC" if is_colour(image, array) else "TYX"
        check_total_memory(
            file.name, math.prod(array.shape[letters.index(axis)] for axis in kept) * array.dtype.itemsize
        )
        chosen = tuple(slice(None) if letter in kept else 0 for letter in letters)
        left = [letter for letter in letters if letter in kept]
        stored = read_array(array, chosen, file.name)
        frames = np.transpose(stored, [left.index(letter) for letter in kept])
        notes = [
            f"{file.name} has {count} {_plural(letter)} in each frame; the first one is read."
            for letter, count in zip(letters, array.shape, strict=True)
            if letter not in kept and count > 1
        ]
        notes += missing_pieces(array, file.name)
        files = files_of_array(file.path, array_path)
    if frames.dtype == bool:
        frames = frames.astype(np.uint8)
    return Film(np.ascontiguousarray(frames), _spacing(image), _seconds(image), tuple(notes), files)


def _plural(letter: str) -> str:
    return "channels" if letter == "C" else f"planes along {letter}"


def _spacing(image: NgffImage) -> tuple[float, float] | None:
    units = [image.millimetres(letter) for letter in "YX"]
    scale = image.levels[0].scale
    sides = [unit and unit * scale[image.letters.index(letter)] for unit, letter in zip(units, "YX", strict=True)]
    return (sides[0], sides[1]) if sides[0] and sides[1] else None


def _seconds(image: NgffImage) -> float | None:
    at = image.letters.index("T")
    unit: Any = SECONDS.get(image.axes[at].unit or "")
    return unit * image.levels[0].scale[at] if unit else None
