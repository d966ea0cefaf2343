"""Films: stacks whose first axis is time.

They are segmented as volumes are, but volumes in mL make no sense.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.hashing import digest_of
from napari_sam2.record.save import save_film_session

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Layer

    from napari_sam2.core.volume import Volume
    from napari_sam2.io.film_read import Film
    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.session import Session

__all__ = ["FILM_KEY", "film_layer", "is_film", "pixel_microns", "save_film", "told_by_file"]

FILM_KEY: Final = "napari_sam2_film"
"""Where our reader keeps what a film's file says, in a layer's metadata."""

TIME_LABELS: Final = ("t", "time", "frame", "frames")
SPACE_LABELS: Final = ("i", "j", "k", "x", "y", "z", "slice", "depth")
"""What axes are called, in small letters; napari's own names (-3) say neither."""


@dataclass(frozen=True, slots=True, eq=False)
class _FromFile:
    """What a layer's frames are, and what their file says of them."""

    volume: Volume
    digest: str
    scale: tuple[float, ...]
    seconds: float | None


def film_layer(film: Film, volume: Volume, name: str) -> tuple[Any, dict[str, Any], str]:
    """A film as napari's (frames (T, rows, columns[, 3]), arguments, ``"image"``).

    Parameters
    ----------
    film : Film
        Its frames.
    volume : Volume
        The same as a volume, see `napari_sam2.io.film_read.film_volume`.
    name : str
        Of the layer.
    """
    scale, units = (1.0, 1.0, 1.0), ("pixel", "pixel", "pixel")
    if film.mpp is not None:
        scale, units = (1.0, film.mpp.row, film.mpp.col), ("pixel", "um", "um")
    kept = _FromFile(replace(volume, voxels=volume.voxels[:1, :1, :1]), digest_of(volume.voxels), scale, film.seconds)
    is_rgb = film.frames.ndim == 4
    fields = {"name": name, "rgb": is_rgb, "axis_labels": ("t", "y", "x"), "scale": scale, "units": units}
    return film.frames, {**fields, "metadata": {FILM_KEY: kept}}, "image"


def told_by_file(layer: Layer, volume: Volume) -> tuple[Volume, float | None]:
    """A film's volume as its file tells it, and its frame time.

    With source and pixel size. The volume as it is, and None, when the layer no longer shows what was read.
    """
    kept = layer.metadata.get(FILM_KEY)
    if not isinstance(kept, _FromFile) or tuple(layer.scale) != kept.scale or digest_of(volume.voxels) != kept.digest:
        return volume, None
    return replace(kept.volume, voxels=volume.voxels), kept.seconds


def is_film(layer: Layer) -> bool:
    """Whether the slices of a layer are moments.

    So says an axis named t (or time, frames), or one in units of time; a stack of colour pictures without a
    length between them is a film too.
    """
    if layer.ndim < 3:
        return False
    label, unit = str(layer.axis_labels[-3]).lower(), layer.units[-3]
    if label in TIME_LABELS or unit.is_compatible_with("second"):
        return True
    is_space = label in SPACE_LABELS or unit.is_compatible_with("um")
    return bool(getattr(layer, "rgb", False)) and not is_space


def pixel_microns(layer: Layer) -> tuple[float, float] | None:
    """Height and width of a pixel in microns.

    Where the layer's units are lengths.
    """
    if not all(unit.is_compatible_with("um") for unit in layer.units[-2:]):
        return None
    row, col = (float((abs(s) * u).to("um").magnitude) for s, u in zip(layer.scale[-2:], layer.units[-2:], strict=True))
    return row, col


def save_film(session: Session, shown: ShownVolume, path: Path, *, overwrite: bool = False, **_: Any) -> str:
    """Write the labels of a film, frame by frame.

    With a table of objects.

    Returns
    -------
    str
        A sentence for the state line.

    Raises
    ------
    UserInputError
        If the name does not end in .ome.tif.
    """
    mpp = None if shown.pixel_microns is None else Mpp(*shown.pixel_microns, "layer scale")
    pixels = save_film_session(session, path, seconds=shown.seconds, mpp=mpp, overwrite=overwrite)
    count = sum(bool(counts.any()) for counts in pixels.values())
    return f"Saved {path.name} with {count} object{'' if count == 1 else 's'}."
