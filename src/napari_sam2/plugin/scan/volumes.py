"""From an image layer to a volume.

Whose voxels they are, and what proves it.

In this order, and never by a guess: what our own reader wrote into the layer; the file that another
reader opened, when exactly one way of transposing and flipping makes its voxels those of the layer;
else a volume without anatomical geometry, which can be segmented but asks for a file when it is saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.volume import Source, Volume
from napari_sam2.errors import GeometryError, NapariSam2Error, UserInputError
from napari_sam2.hashing import digest_of
from napari_sam2.io.axes_map import AxesMap, prove_axes_map
from napari_sam2.io.photometric import to_8_bits
from napari_sam2.plugin.canvas.coordinates import IN_PLANE_2D, LayerGrid
from napari_sam2.plugin.canvas.placement import TRANSFORM
from napari_sam2.plugin.scan.films import is_film, pixel_microns, told_by_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

__all__ = [
    "METADATA_KEY",
    "ShownVolume",
    "file_behind",
    "geometry_metadata",
    "is_own_grid",
    "shown_volume",
]

METADATA_KEY: Final = "napari_sam2"
"""The one key under which this plugin keeps anything in a layer's metadata."""

LARGEST_BYTES: Final = 8 << 30
"""A scan of 2048 x 2048 x 1000 voxels in 16 bits; what is larger is a slide or must be cropped."""


@dataclass(frozen=True, slots=True, eq=False)
class ShownVolume:
    """A layer's volume, and how the layer shows it.

    And what that rests on.

    Attributes
    ----------
    volume : Volume
        Its voxels are views of the layer's array where that is possible.
    grid : LayerGrid
        Between layer and voxels.
    proven : bool
        Whether the geometry is the file's; if not, a label map needs a reference file.
    note : str
        A sentence for the person when the geometry is not proven, else empty.
    is_film : bool
        Whether slices are moments, so that nothing has a volume; see `napari_sam2.plugin.scan.films`.
    is_sized : bool
        Whether voxels have a known size.
    pixel_microns : tuple of float, optional
        Of a film: height and width of a pixel, where they are known.
    seconds : float, optional
        Of a film: from one frame to the next, where it is known.
    """

    volume: Volume
    grid: LayerGrid
    proven: bool
    note: str = ""
    is_film: bool = False
    is_sized: bool = True
    pixel_microns: tuple[float, float] | None = None
    seconds: float | None = None


def geometry_metadata(
    volume: Volume, axes_map: AxesMap, voxels: NDArray[Any], placement: Mapping[str, Any]
) -> dict[str, Any]:
    """What a layer carries to lead labels back to a file.

    Labels that were made on it.

    Parameters
    ----------
    volume : Volume
        Where the voxels lie.
    axes_map : AxesMap
        How the layer shows them.
    voxels : (I, J, K[, 3]) array
        What the layer shows, in stored order. Layers hand their metadata on when they are cut, turned or projected:
        shape and digest tell those from the layer that was read.
    placement : mapping
        The layer's transform, as arguments of a layer: ``scale``, ``translate`` and so on.
    """
    return {
        METADATA_KEY: {
            "shape": voxels.shape[:3],
            "digest": digest_of(voxels),
            "placement": {name: placement[name] for name in TRANSFORM if placement.get(name) is not None},
            "affine": volume.affine.tolist(),
            "oriented": volume.oriented,
            "source": volume.source,
            "axes": axes_map.axes,
            "flips": axes_map.flips,
        }
    }


def shown_volume(layer: Layer, leading: Sequence[int] = ()) -> ShownVolume:
    """The volume that an image layer shows.

    Parameters
    ----------
    layer : Image layer
        Plain, lazy, multiscale (its finest level counts) or RGB.
    leading : sequence of int
        Which element of the axes before the last three, such as time, is meant.

    Raises
    ------
    GeometryError
        If the layer is no image of two or more dimensions.
    UserInputError
        If it is too large to be read whole, as slides are, or holds complex numbers.
    """
    array = _spatial_array(layer, leading)
    ndim = layer.ndim
    own = layer.metadata.get(METADATA_KEY)
    note = ""
    if own is not None and len(leading) == 0:
        shown = _from_own_metadata(array, own, ndim)
        if shown is not None:
            return shown
        note = (
            f"{layer.name} does not show the voxels of {own['source'].name} as they were read: it was cut, turned or "
            "edited. Its labels can be saved when you choose the image file that they belong to."
        )
    if is_film(layer):
        # A file behind it could prove where slices lie; moments lie nowhere.
        shown = _without_file(array, layer, ndim, leading, "")
        volume, seconds = told_by_file(layer, shown.volume)
        return replace(
            shown,
            volume=volume,
            is_film=True,
            is_sized=False,
            pixel_microns=pixel_microns(layer),
            seconds=seconds,
        )
    path = file_behind(layer)
    if path is not None:
        try:
            return _from_file(array, path, ndim, leading)
        except (NapariSam2Error, OSError) as error:
            note = note or str(error)
    return _without_file(array, layer, ndim, leading, note)


def file_behind(layer: Layer) -> Path | None:
    """The file a layer was opened from.

    Also when it is a copy of such a layer.
    """
    n_layers = 0
    current: Any = layer
    while current is not None and n_layers < 10:
        if current.source.path is not None:
            path = Path(current.source.path)
            return path if path.exists() else None
        parent = current.source.parent
        current = parent() if parent is not None else None
        n_layers += 1
    return None


def _spatial_array(layer: Layer, leading: Sequence[int]) -> NDArray[Any]:
    voxels = layer.data[0] if layer.multiscale else layer.data
    size = math.prod(voxels.shape[len(leading) :]) * np.dtype(voxels.dtype).itemsize
    if size > LARGEST_BYTES:
        raise UserInputError(
            f"{layer.name} holds {size / 2**30:.0f} GiB at its finest level, too much to be read whole. Segment slides "
            "with 'napari-sam2 slide', or crop a region first."
        )
    array = np.asarray(voxels[tuple(leading)] if len(leading) else voxels)
    if layer.ndim - len(leading) not in (2, 3):
        raise GeometryError(f"{layer.name} has {layer.ndim} axes; an image of 2 or 3 can be segmented.")
    if getattr(layer, "rgb", False):
        array = to_8_bits(array[..., :3])
    if np.iscomplexobj(array):
        raise UserInputError(f"{layer.name} holds complex numbers; show their magnitude as an image first.")
    return array.view(np.uint8) if array.dtype == bool else array


def is_own_grid(own: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether an array fits the grid that metadata describe.

    An array of this shape, as a layer shows it.
    """
    if len(shape) == 2:
        return tuple(own["shape"]) == (*shape, 1)
    return len(shape) == 3 and tuple(own["shape"]) == tuple(shape[axis] for axis in own["axes"])


def _from_own_metadata(array: NDArray[Any], own: dict[str, Any], ndim: int) -> ShownVolume | None:
    """The volume that our reader put into the layer; None when the layer shows something else by now."""
    if not is_own_grid(own, array.shape[:ndim]):
        return None
    axes_map = AxesMap(own["axes"], own["flips"])
    voxels = axes_map.stored(array if ndim == 3 else np.expand_dims(array, 2))
    if digest_of(voxels) != own["digest"]:
        return None
    volume = Volume(voxels, np.array(own["affine"]), own["oriented"], own["source"])
    return ShownVolume(volume, LayerGrid(axes_map, volume.shape, ndim), proven=True)


def _from_file(array: NDArray[Any], path: Path, ndim: int, leading: Sequence[int]) -> ShownVolume:
    from napari_sam2.io import read_volume

    volume = read_volume(path, volume_index=leading[-1] if leading else None)
    if ndim == 2:
        if volume.voxels.shape[:2] != array.shape[:2]:
            raise GeometryError(f"{path.name} has another shape than the image on screen.")
        axes_map = IN_PLANE_2D
        stored = np.expand_dims(array, 2)
        if not np.array_equal(stored, volume.voxels):
            raise GeometryError(f"The picture on screen does not hold the pixels of {path.name}.")
    else:
        axes_map = prove_axes_map(array, volume.voxels, path.name)
        stored = axes_map.stored(array)
    # The layer's own array is kept, not a second copy of it; the file gave the geometry.
    return ShownVolume(
        replace(volume, voxels=stored), LayerGrid(axes_map, volume.shape, ndim, tuple(leading)), proven=True
    )


def _without_file(array: NDArray[Any], layer: Layer, ndim: int, leading: Sequence[int], note: str) -> ShownVolume:
    axes_map = IN_PLANE_2D if ndim == 2 else AxesMap()
    stored = axes_map.stored(np.expand_dims(array, 2) if ndim == 2 else array)
    spacing = _millimetres(layer)[-min(ndim, 3) :]
    is_sized = any(unit.is_compatible_with("mm") for unit in layer.units) or any(s != 1 for s in spacing)
    spacing = [*spacing, 1.0] if ndim == 2 else spacing[::-1]
    volume = Volume(stored, np.diag([*spacing, 1.0]), oriented=False, source=Source(name=layer.name))
    grid = LayerGrid(axes_map, volume.shape, ndim, tuple(leading))
    return ShownVolume(volume, grid, proven=False, note=note, is_sized=is_sized)


def _millimetres(layer: Layer) -> list[float]:
    """Distance between neighbours along each axis; a number without a unit is taken as it is."""
    pairs = zip(layer.scale, layer.units, strict=True)
    sizes = [(abs(s) * u).to("mm").magnitude if u.is_compatible_with("mm") else abs(s) for s, u in pairs]
    return [float(size) or 1.0 for size in sizes]
