"""Reader: volumes in stored order.

With what a label map needs to find its way back.

napari slices along array axes, so an oblique scan is shown straight, in its own grid; where it really
lies is kept in the layer's metadata and comes back in every file that is saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.utils.notifications import show_warning

from napari_sam2.io.axes_map import AxesMap
from napari_sam2.io.names import without_suffix
from napari_sam2.io.zarr_store import is_zarr
from napari_sam2.plugin.canvas.coordinates import IN_PLANE_2D
from napari_sam2.plugin.scan.channel_colours import colour_fields
from napari_sam2.plugin.scan.volumes import geometry_metadata
from napari_sam2.plugin.scan.zarr_layers import label_layers, volumes_of_zarr
from napari_sam2.plugin.slide.content import is_slide_file

MAY_BE_SLIDES: Final = (".dcm",)
"""Names of volumes under which slides come as well."""

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.core.volume import Volume

    LayerTuple = tuple[Any, dict[str, Any], str]

__all__ = ["get_reader", "image_layer"]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerTuple]] | None:
    """The reader for a path.

    None for a stack of several files, for a folder that is no OME-Zarr, and for a slide, which another reader opens.
    """
    if isinstance(path, list) and len(path) != 1:
        return None
    file = path[0] if isinstance(path, list) else path
    if Path(file).is_dir() and not is_zarr(file):
        return None
    may_be_slide = file.lower().endswith(MAY_BE_SLIDES) or is_zarr(file)
    return None if may_be_slide and is_slide_file(file) else read


def read(path: str | list[str]) -> list[LayerTuple]:
    """Read a volume, or a film, as one image layer.

    Raises
    ------
    ImageFileError, GeometryError
        With a sentence that napari shows.
    """
    from napari_sam2.io import read_volume
    from napari_sam2.plugin.slide.film_reader import film_layers

    file = Path(path[0] if isinstance(path, list) else path)
    frames = film_layers(file) if file.is_file() else None
    if frames is not None:
        return frames
    titled = volumes_of_zarr(file) if is_zarr(file) else [(read_volume(file), "")]
    first = titled[0][0]
    for note in first.source.notes if len(titled) == 1 else ():
        show_warning(f"{file.name}: {note}")
    layers = [image_layer(volume, title) for volume, title in titled]
    if len(layers) == 1:
        layers[0][1].pop("visible", None)
    return [*layers, *label_layers(file, first)] if is_zarr(file) else layers


def image_layer(volume: Volume, title: str = "") -> LayerTuple:
    """A volume as napari's (array, arguments, ``"image"``).

    Named after its file unless it has a title.
    """
    array, placement = _shown(volume, volume.voxels)
    arguments: dict[str, Any] = {**placement, "name": title or without_suffix(volume.source.name)}
    if volume.is_rgb:
        return array, {**arguments, "rgb": True}, "image"
    from napari_sam2.core.window import choose_window

    try:
        window = choose_window(volume)
    except ValueError:
        # No contrast at all: napari's own limits are as good as any.
        return array, arguments, "image"
    # No colour map where the file states none: grey is the default.
    arguments |= colour_fields(volume)
    return array, {**arguments, "contrast_limits": (window.low, window.high)}, "image"


def _shown(volume: Volume, voxels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    flat = volume.shape[2] == 1
    axes_map = IN_PLANE_2D if flat else AxesMap()
    array = axes_map.shown(voxels)
    array = array[:, :, 0] if flat else array
    spacing = np.array(volume.spacing)[[0, 1] if flat else [2, 1, 0]]
    names = "ij" if flat else "kji"
    placement = {"scale": tuple(float(s) for s in spacing), "units": ("mm",) * len(spacing)}
    return array, {
        **placement,
        "axis_labels": tuple(names),
        "metadata": geometry_metadata(volume, axes_map, voxels, placement),
    }
