"""Objects of a slide as a label image.

A tiled pyramid in OME-TIFF or OME-Zarr, written tile by tile.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.labels import label_dtype
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.io.atomic import atomic_write
from napari_sam2.io.ome_zarr import NAME, NGFF_VERSION, fresh_folder, labels_group
from napari_sam2.slides.class_colours import DEFAULT_COLOUR
from napari_sam2.slides.polygons import polygon_to_mask

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.objects import SlideObject

__all__ = ["write_label_mosaic", "write_label_zarr"]

TILE: Final = 512
SMALLEST_LEVEL: Final = 1024
"""The pyramid ends with the first level whose longer side is no larger."""


def write_label_mosaic(
    objects: Sequence[SlideObject],
    path: str | os.PathLike[str],
    shape: tuple[int, int],
    mpp: Mpp | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write labels 1, 2, ... in the order of `objects`.

    Where they overlap, the later one is seen.

    Parameters
    ----------
    objects : sequence of SlideObject
        In level-0 pixel corners.
    path : path-like
        The ``.ome.tif`` to make.
    shape : tuple of int
        (rows, columns) of level 0.
    mpp : Mpp, optional
        Microns per pixel, written as PhysicalSize.

    Notes
    -----
    Each level is rasterised from the outlines, so no level is held or read back.
    """
    import shapely
    import tifffile

    dtype = _dtype(len(objects))
    tree = shapely.STRtree([obj.geometry for obj in objects])
    scales = _scales(shape)
    metadata: dict[str, Any] = {"axes": "YX"}
    if mpp is not None:
        metadata |= {"PhysicalSizeX": mpp.col, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": mpp.row, "PhysicalSizeYUnit": "µm"}
    options: dict[str, Any] = {
        "dtype": dtype, "tile": (TILE, TILE), "compression": _compression(), "photometric": "minisblack"
    }  # fmt: skip
    with (
        atomic_write(path, overwrite=overwrite) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=True, ome=True) as file,
    ):
        for number, scale in enumerate(scales):
            size = (math.ceil(shape[0] / scale), math.ceil(shape[1] / scale))
            pyramid: dict[str, Any] = {"subfiletype": 1}
            if number == 0:
                pyramid = {"subifds": len(scales) - 1, "metadata": metadata}
            file.write(_tiles(objects, tree, size, scale, dtype), shape=size, **options, **pyramid)


def write_label_zarr(
    objects: Sequence[SlideObject],
    path: str | os.PathLike[str],
    shape: tuple[int, int],
    mpp: Mpp | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write the same as ``<path>/labels/segmentation`` (OME-NGFF 0.5), with names and colours.

    Parameters
    ----------
    objects, shape, mpp, overwrite
        As in `write_label_mosaic`.
    path : path-like
        The ``.ome.zarr`` folder to make.
    """
    import shapely

    dtype = _dtype(len(objects))
    tree = shapely.STRtree([obj.geometry for obj in objects])
    scales = _scales(shape)
    with fresh_folder(Path(path), overwrite=overwrite) as fresh:
        group = labels_group(fresh, _zarr_attributes(objects, scales, mpp))
        for number, scale in enumerate(scales):
            size = (math.ceil(shape[0] / scale), math.ceil(shape[1] / scale))
            level = group.create_array(
                str(number), shape=size, dtype=dtype, chunks=(TILE, TILE), fill_value=0, dimension_names=("y", "x")
            )
            tiles = _tiles(objects, tree, size, scale, dtype)
            for row in range(0, size[0], TILE):
                for col in range(0, size[1], TILE):
                    tile = next(tiles)
                    # An empty chunk takes no file.
                    if tile.any():
                        level[row : row + TILE, col : col + TILE] = tile[: size[0] - row, : size[1] - col]


def _zarr_attributes(objects: Sequence[SlideObject], scales: list[int], mpp: Mpp | None) -> dict[str, Any]:
    axes: list[dict[str, str]] = [{"name": name, "type": "space"} for name in "yx"]
    row, col = (1.0, 1.0) if mpp is None else (mpp.row, mpp.col)
    if mpp is not None:
        axes = [{**axis, "unit": "micrometer"} for axis in axes]
    datasets = []
    for number, scale in enumerate(scales):
        # The first pixel of a level covers the first `scale` pixels of the slide: its centre moves.
        place = [(scale - 1) / 2 * row, (scale - 1) / 2 * col]
        transforms = [
            {"type": "scale", "scale": [scale * row, scale * col]}, {"type": "translation", "translation": place}
        ]  # fmt: skip
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    coloured = [(n, obj.shown_colour or DEFAULT_COLOUR) for n, obj in enumerate(objects, start=1)]
    return {
        "ome": {
            "version": NGFF_VERSION,
            "multiscales": [{"name": NAME, "axes": axes, "datasets": datasets}],
            "image-label": {
                "source": {"image": "../../"},
                "colors": [{"label-value": n, "rgba": [*colour, 255]} for n, colour in coloured],
                "properties": [
                    {"label-value": n, "id": obj.object_id, "name": obj.name, "class": obj.class_name}
                    for n, obj in enumerate(objects, start=1)
                ],
            },
        }
    }


def _dtype(count: int) -> np.dtype[Any]:
    dtype = np.dtype(label_dtype(count))
    return np.dtype(np.uint32) if dtype == np.int32 else dtype


def _scales(shape: tuple[int, int]) -> list[int]:
    scales = [1]
    while max(shape) / scales[-1] > SMALLEST_LEVEL:
        scales.append(scales[-1] * 2)
    return scales


def _tiles(
    objects: Sequence[SlideObject], tree: Any, size: tuple[int, int], scale: int, dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    import shapely

    empty = np.zeros((TILE, TILE), dtype=dtype)
    for row in range(0, size[0], TILE):
        for col in range(0, size[1], TILE):
            edges = (col * scale, row * scale, (col + TILE) * scale, (row + TILE) * scale)
            met = np.sort(tree.query(shapely.box(*edges)))
            if len(met) == 0:
                yield empty
                continue
            tile = empty.copy()
            for index in met:
                mask = polygon_to_mask(objects[index].geometry, edges[1], edges[0], (TILE, TILE), scale)
                tile[mask] = index + 1
            yield tile


def _compression() -> str:
    try:
        import imagecodecs  # noqa: F401
    except ImportError as error:
        raise EnvironmentLacksError(
            'A label mosaic needs imagecodecs, which is not installed; run: pip install "napari-sam2[slide]".'
        ) from error
    return "zlib"
