"""Writer: a Labels layer as NIfTI on its image's grid.

Or a question; never a guess.

Where the labels lie comes from, in this order: what our reader or panel left in the layer; the image
layers in the viewer with the same shape and place; a file that the person names. Labels of an image
that no file is behind are saved with voxel sizes only, and the person is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_info, show_warning

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import UserInputError
from napari_sam2.io.axes_map import AxesMap
from napari_sam2.plugin.canvas.coordinates import IN_PLANE_2D, LayerGrid
from napari_sam2.plugin.canvas.placement import TRANSFORM, lies_alike
from napari_sam2.plugin.scan.label_saving import UNPLACED_NOTE, save_labels
from napari_sam2.plugin.scan.volumes import METADATA_KEY, ShownVolume, is_own_grid, shown_volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer
    from numpy.typing import NDArray

__all__ = ["place_labels", "write"]


def write(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer.

    Napari calls this from Save, after asking about an existing file.

    Raises
    ------
    UserInputError
        If the labels cannot be placed or written; the sentence says what to do.
    """
    import napari

    viewer = napari.current_viewer()
    labels = np.asarray(data)
    shown = place_labels(labels, meta, () if viewer is None else viewer.layers)
    stored = shown.grid.stored(labels)
    warning = save_labels(stored, shown, Path(path), overwrite=True, without_geometry=True)
    if shown.proven:
        show_info(warning)
    else:
        show_warning(f"{Path(path).name}: {UNPLACED_NOTE}. {shown.note}".strip())
    return [path]


def place_labels(labels: NDArray[Any], meta: dict[str, Any], layers: Iterable[Layer]) -> ShownVolume:
    """The volume that labels lie on.

    Without its voxels when only its geometry is known.

    Parameters
    ----------
    labels : array
        As the layer shows it.
    meta : dict
        The layer's attributes as napari hands them to writers.
    layers : iterable of Layer
        What else is in the viewer.

    Raises
    ------
    UserInputError
        If a file is behind an image at the same place but nothing proves how the labels lie on it.
    """
    if labels.ndim not in (2, 3):
        raise UserInputError(f"The labels have {labels.ndim} axes; label maps of 2 or 3 can be saved as NIfTI.")
    layer_of_labels = _transform_of(labels, meta)
    own = (meta.get("metadata") or {}).get(METADATA_KEY)
    if own is not None and is_own_grid(own, labels.shape) and _is_where_it_was_made(layer_of_labels, own):
        return _from_metadata(labels, own)
    unproven = ""
    if own is not None:
        unproven = (
            f"The labels were cut, turned or moved since they were made on {own['source'].name}, so nothing proves "
            "where they lie. Save them from the panel, or put the layer back."
        )
    for layer in layers:
        if type(layer).__name__ != "Image" or not _same_place(layer, labels, layer_of_labels):
            continue
        shown = shown_volume(layer)
        if shown.proven:
            return shown
        unproven = unproven or shown.note
    if unproven:
        raise UserInputError(unproven)
    return _from_scale(labels, meta)


def _from_metadata(labels: NDArray[Any], own: dict[str, Any]) -> ShownVolume:
    axes_map = AxesMap(own["axes"], own["flips"])
    stored = axes_map.stored(labels if labels.ndim == 3 else labels[..., None])
    volume = Volume(stored, np.array(own["affine"]), own["oriented"], own["source"])
    return ShownVolume(volume, LayerGrid(axes_map, volume.shape, labels.ndim), proven=True)


def _from_scale(labels: NDArray[Any], meta: dict[str, Any]) -> ShownVolume:
    axes_map = AxesMap() if labels.ndim == 3 else IN_PLANE_2D
    stored = axes_map.stored(labels if labels.ndim == 3 else labels[..., None])
    spacing = [abs(float(s)) or 1.0 for s in meta.get("scale", (1.0,) * labels.ndim)][-labels.ndim :]
    spacing = spacing[::-1] if labels.ndim == 3 else [*spacing, 1.0]
    volume = Volume(
        stored, np.diag([*spacing, 1.0]), oriented=False, source=Source(name=str(meta.get("name", "labels")))
    )
    note = "Open the image file it belongs to, and save again, to get its place in the patient."
    return ShownVolume(volume, LayerGrid(axes_map, volume.shape, labels.ndim), proven=False, note=note)


def _transform_of(labels: NDArray[Any], meta: dict[str, Any]) -> Labels:
    """A layer with the transform that napari hands to writers; its one voxel means nothing."""
    transform = {name: meta[name] for name in TRANSFORM if meta.get(name) is not None}
    return Labels(np.zeros((1,) * labels.ndim, dtype=np.uint8), **transform)


def _is_where_it_was_made(layer: Labels, own: dict[str, Any]) -> bool:
    """Whether labels lie where the layer did that they were made in."""
    reader = Labels(np.zeros((1,) * layer.ndim, dtype=np.uint8), **own["placement"])
    return lies_alike(layer, reader, [own["shape"][n] for n in np.argsort(own["axes"])][: layer.ndim])


def _same_place(layer: Layer, labels: NDArray[Any], layer_of_labels: Labels) -> bool:
    shape = layer.data.shape[:-1] if layer.rgb else layer.data.shape
    if layer.multiscale or tuple(shape) != labels.shape:
        return False
    return lies_alike(layer, layer_of_labels, labels.shape)
