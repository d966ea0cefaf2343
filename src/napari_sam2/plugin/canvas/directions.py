"""Letters at the borders of the picture.

They say which side of the patient is where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from napari.components.overlays import TextOverlay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_sam2.plugin.scan.volumes import ShownVolume

__all__ = ["BORDERS", "border_letters", "hide_letters", "letter_of", "show_letters"]

BORDERS: Final = ("top_center", "bottom_center", "middle_left", "middle_right")
"""Where the letters stand, as napari calls the places of the canvas."""

_PREFIX: Final = "napari-sam2 "

_POSITIVE, _NEGATIVE = "RAS", "LPI"
"""Right, anterior and superior grow along the axes of the world; left, posterior and inferior are opposite."""


def letter_of(direction: NDArray[np.float64]) -> str:
    """The side that a direction points to most.

    Of a direction (3,) in RAS+ millimetres: one of R, L, A, P, S, I.
    """
    along = int(np.abs(direction).argmax())
    return (_POSITIVE if direction[along] > 0 else _NEGATIVE)[along]


def border_letters(viewer: ViewerModel, image: Image, shown: ShownVolume) -> dict[str, str]:
    """The letter of each border for the slice on view.

    Empty where a side means nothing.

    That is in 3-D view, for films and for images without a place in the patient.
    """
    if viewer.dims.ndisplay != 2 or not shown.volume.oriented or shown.grid.n_spatial < 3 or shown.is_film:
        return {}
    _, vertical, horizontal = (str(getattr(o, "value", o)) for o in viewer.scene.camera.orientation)
    rows, cols = viewer.dims.displayed
    down = _direction(viewer, image, shown, rows) * (1 if vertical == "down" else -1)
    right = _direction(viewer, image, shown, cols) * (1 if horizontal == "right" else -1)
    return dict(zip(BORDERS, (letter_of(v) for v in (-down, down, -right, right)), strict=True))


def show_letters(viewer: ViewerModel, letters: Mapping[str, str]) -> None:
    """Show one letter at each border; none where there is none."""
    for border in BORDERS:
        text = letters.get(border, "")
        name = _PREFIX + border
        overlay = viewer.canvas.overlays.get(name)
        if overlay is None and text:
            overlay = TextOverlay(text=text, position=border, font_size=14, visible=True)
            viewer.canvas.overlays[name] = overlay
        elif overlay is not None:
            overlay.text, overlay.visible = text, bool(text)


def hide_letters(viewer: ViewerModel) -> None:
    """Take all letters away."""
    show_letters(viewer, {})


def _direction(viewer: ViewerModel, image: Image, shown: ShownVolume, axis: int) -> NDArray[np.float64]:
    """Where in the patient one step along a viewer axis goes, in RAS+ millimetres."""
    here = [float(c) for c in viewer.dims.point]
    there = [c + (1.0 if number == axis else 0.0) for number, c in enumerate(here)]
    first, last = (shown.grid.world_to_voxel(image, place) for place in (here, there))
    moved: NDArray[np.float64] = np.asarray(shown.volume.affine)[:3, :3] @ (last - first)
    return moved
