"""OME-Zarr volumes as layers.

One per channel, and the label groups beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.utils.notifications import show_warning

from napari_sam2.errors import NapariSam2Error, SeveralVolumesError
from napari_sam2.io.axes_map import AxesMap
from napari_sam2.io.names import without_suffix
from napari_sam2.io.ngff import image_of
from napari_sam2.io.read import read_volume
from napari_sam2.io.zarr_store import open_zarr
from napari_sam2.io.zarr_volume import volume_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.core.volume import Volume

__all__ = ["label_layers", "volumes_of_zarr"]

MOST_CHANNELS: Final = 8
"""Layers that one file makes without being asked; of more volumes one is chosen with ``open --volume N``."""

LayerTuple = tuple[Any, dict[str, Any], str]


def volumes_of_zarr(path: Path) -> list[tuple[Volume, str]]:
    """The volumes of an image, one per channel.

    With the names of their layers.

    Raises
    ------
    ImageFileError, GeometryError
        As `read_volume`; also if there are several moments, or more channels than `MOST_CHANNELS`.
    """
    try:
        return [(read_volume(path), without_suffix(path.name))]
    except SeveralVolumesError as error:
        if error.count > MOST_CHANNELS or " along t" in str(error):
            raise
        count = error.count
    with open_zarr(path) as file:
        channels = image_of(file.attributes(file.images()[0]), file.name).channels
    named = [channels[i].name if i < len(channels) else "" for i in range(count)]
    titles = [f"{without_suffix(path.name)} {name or f'channel {i}'}" for i, name in enumerate(named)]
    return [(read_volume(path, volume_index=index), title) for index, title in enumerate(titles)]


def label_layers(path: Path, volume: Volume) -> list[LayerTuple]:
    """The label groups of an image as Labels layers.

    One that does not fit it is left out and told.
    """
    layers: list[LayerTuple] = []
    with open_zarr(path) as file:
        images = file.images()
        for group in file.label_groups(images[0]) if images else ():
            name = group.rpartition("/")[2]
            try:
                labels = volume_of(file, group)
            except NapariSam2Error as error:
                show_warning(f"{path.name}: the labels {name} are left out. {error}")
                continue
            if labels.shape != volume.shape or labels.voxels.dtype.kind not in "ui":
                show_warning(f"{path.name}: the labels {name} do not lie on the image voxel on voxel and are left out.")
                continue
            scale = tuple(float(s) for s in labels.spacing[::-1])
            array = AxesMap().shown(labels.voxels)
            flat = volume.shape[2] == 1
            fields = {"name": name, "scale": scale[1:] if flat else scale, "units": ("mm",) * (2 if flat else 3)}
            layers.append((array[0] if flat else array, fields, "labels"))
    return layers
