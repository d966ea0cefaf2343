"""Films: stacks whose first axis is time.

They are segmented as volumes are, but volumes in mL make no sense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.io.film import FILM_ENDINGS, write_label_film

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Layer

    from napari_sam2.plugin.scan.volumes import ShownVolume
    from napari_sam2.session.session import Session

__all__ = ["is_film", "pixel_microns", "save_film"]

TIME_LABELS: Final = ("t", "time", "frame", "frames")
SPACE_LABELS: Final = ("i", "j", "k", "x", "y", "z", "slice", "depth")
"""What axes are called, in small letters; napari's own names (-3) say neither."""


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
        If the name does not end in one of `FILM_ENDINGS`.
    """
    if not path.name.lower().endswith(FILM_ENDINGS):
        raise UserInputError(f"{path.name}: the labels of a film are a stack of frames; save them as .ome.tif.")
    frames = np.ascontiguousarray(shown.grid.shown(session.label_map()))
    names = {i: obj.name for i, obj in session.objects.items()}
    mpp = None if shown.pixel_microns is None else Mpp(*shown.pixel_microns, "layer scale")
    write_label_film(frames, path, names, mpp, overwrite=overwrite)
    count = len(np.unique(frames)) - bool((frames == 0).any())
    return f"Saved {path.name} with {count} object{'' if count == 1 else 's'}."
