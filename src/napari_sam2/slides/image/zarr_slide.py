"""OME-Zarr slides: all levels of one image, read piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import ImageFileError, NapariSam2Error
from napari_sam2.io.ngff import image_of
from napari_sam2.io.zarr_store import missing_pieces, open_zarr
from napari_sam2.io.zarr_volume import is_colour
from napari_sam2.slides.image.opened import OpenedFile
from napari_sam2.slides.image.pictures import PictureInFile, choose_picture
from napari_sam2.slides.image.sources import ZarrSource

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.io.ngff import NgffImage
    from napari_sam2.io.zarr_store import ZarrFile

__all__ = ["open_zarr_slide"]

LARGEST_CHUNK: Final = 1 << 28
"""Values of one piece, which is decoded whole for any pixel in it: 16k x 16k."""

SAME_SCALE: Final = 0.05
"""The scales of two levels may differ by this from their numbers of pixels, which odd sizes round."""


def open_zarr_slide(path: Path, image: str | int | None) -> OpenedFile:
    """Open an OME-Zarr image of version 0.4 or 0.5.

    Parameters
    ----------
    path : Path
        A folder, or a zip file that holds one.
    image : str or int, optional
        Which of several images, by number or path.

    Raises
    ------
    ImageFileError
        If it is damaged, holds no image, or is of another version.
    UserInputError
        If there is no such image.
    EnvironmentLacksError
        If zarr is not installed.
    """
    file = open_zarr(path)
    try:
        return _opened(file, image)
    except BaseException:
        file.close()
        raise


def _opened(file: ZarrFile, wanted: str | int | None) -> OpenedFile:
    places = file.images()
    if not places:
        raise ImageFileError(f"{file.name} holds no image of OME-Zarr; give the folder with its multiscales.")
    images = [image_of(file.attributes(place), file.name) for place in places]
    pictures = []
    for number, (place, image) in enumerate(zip(places, images, strict=True)):
        finest = file.array(f"{place}/{image.levels[0].path}".strip("/"))
        if len(finest.shape) != len(image.axes) or 0 in finest.shape:
            raise ImageFileError(f"{file.name} is damaged: its axes and its array do not fit together; write it again.")
        pictures.append(PictureInFile(place or image.name, finest.shape, image.letters, number))
    choice = choose_picture(pictures, wanted, file.name)
    if choice.chosen is None:
        raise ImageFileError(f"{file.name} holds no picture with rows and columns.")
    place, image = places[choice.chosen], images[choice.chosen]
    arrays, notes = _levels(file, place, image)
    source = ZarrSource(file, image.letters, arrays)
    is_rgb = True if is_colour(image, arrays[0]) else (False if image.channels else None)
    notes = (*choice.notes, *notes, *missing_pieces(arrays[0], file.name))
    return OpenedFile(source, _mpp(image), is_rgb, image.channels, notes)


def _levels(file: ZarrFile, place: str, image: NgffImage) -> tuple[list[Any], tuple[str, ...]]:
    """The arrays from fine to coarse; one whose scale contradicts its pixels, or that is broken, is left out."""
    y, x = image.letters.index("Y"), image.letters.index("X")
    arrays: list[Any] = []
    left_out = 0
    for number, level in enumerate(image.levels):
        try:
            array = file.array(f"{place}/{level.path}".strip("/"))
        except NapariSam2Error:
            if number == 0:
                raise
            left_out += 1
            continue
        if number and not _fits(array, arrays[0], image, number, (y, x)):
            left_out += 1
            continue
        if array.chunks[y] * array.chunks[x] > LARGEST_CHUNK:
            raise ImageFileError(
                f"{file.name} stores pieces of {array.chunks[x]} x {array.chunks[y]} pixels, so no part of it can be "
                "read alone; write it with smaller chunks."
            )
        arrays.append(array)
    notes = (f"{file.name}: {left_out} of its smaller levels do not fit the full one and are not used.",)
    return arrays, notes if left_out else ()


def _fits(array: Any, finest: Any, image: NgffImage, number: int, axes: tuple[int, int]) -> bool:
    if len(array.shape) != len(finest.shape) or array.dtype != finest.dtype or 0 in array.shape:
        return False
    if "C" in image.letters and array.shape[image.letters.index("C")] != finest.shape[image.letters.index("C")]:
        return False
    for axis in axes:
        stated = image.levels[number].scale[axis] / image.levels[0].scale[axis]
        held = finest.shape[axis] / array.shape[axis]
        slack = SAME_SCALE + 2 / array.shape[axis]
        if array.shape[axis] > finest.shape[axis] or abs(held / stated - 1) > slack:
            return False
    return True


def _mpp(image: NgffImage) -> Mpp | None:
    units = [image.millimetres(letter) for letter in "YX"]
    if units[0] is None or units[1] is None:
        return None
    row, col = (
        1000 * unit * image.levels[0].scale[image.letters.index(letter)]
        for unit, letter in zip(units, "YX", strict=True)
        if unit is not None
    )
    return Mpp(row, col, "OME-Zarr scale")
