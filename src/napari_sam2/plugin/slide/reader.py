"""Slides as napari layers: one lazy multiscale image, and polygons as Shapes.

Nothing of napari is imported here; what napari takes are plain tuples. Its (row, column) has integers at
pixel centres, so a polygon in pixel corners moves by half a pixel.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.io.film_zarr import is_zarr_film
from napari_sam2.io.ngff import image_of
from napari_sam2.io.zarr_store import is_zarr, open_zarr
from napari_sam2.plugin.slide.content import is_slide_file
from napari_sam2.plugin.slide.film_reader import film_layers, is_timed_tiff
from napari_sam2.slides.class_colours import DEFAULT_COLOUR
from napari_sam2.slides.reader import open_slide

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.objects import SlideObject

__all__ = [
    "napari_get_slide_reader",
    "polygon_of_shape",
    "read_slide_layers",
    "shapes_of",
    "slide_layer",
]

CHUNK: Final = 1024
"""Pixels: a screenful is a few chunks, and a chunk takes a few milliseconds."""

LayerData = tuple[Any, dict[str, Any], str]


def napari_get_slide_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """npe2's reader hook: `read_slide_layers`.

    For files that are slides, or TIFFs over time; else None.
    """
    if isinstance(path, list):
        return None
    return read_slide_layers if is_slide_file(path) or is_timed_tiff(Path(path)) else None


def read_slide_layers(path: str | os.PathLike[str]) -> list[LayerData]:
    """Read a slide or a film as napari layers.

    A slide is one multiscale image layer, with the label groups of an OME-Zarr beside it; a film a stack of frames.

    Raises
    ------
    UserInputError, EnvironmentLacksError
        As `open_slide`.
    """
    if is_zarr(path) and is_zarr_film(Path(path)):
        return film_layers(path) or []
    if is_zarr(path):
        slide = open_slide(path)
        return [slide_layer(slide, Path(path)), *_label_layers(Path(path), slide)]
    return film_layers(path) or [slide_layer(open_slide(path), Path(path))]


def slide_layer(slide: Slide, path: Path | None = None) -> LayerData:
    """The layer of an open slide.

    Pixels are read when they are shown.

    Returns
    -------
    tuple
        (list of dask arrays (rows, columns, 3) uint8, keyword arguments, ``"image"``); of a stack, its planes come
        first, and napari shows a slider for each of these axes. ``scale`` is in microns
        when the pixel's size is known. ``metadata["napari_sam2_slide"]`` is the `Slide` itself.
    """
    import dask.array as da

    planes = slide.planes
    chunks = (*[1] * len(planes), CHUNK, CHUNK, 3)
    levels = [
        da.from_array(_LevelView(slide, i), chunks=chunks, name=False, asarray=False, fancy=False)
        for i in range(len(slide.levels))
    ]
    fields: dict[str, Any] = {
        "name": slide.name,
        "rgb": True,
        "multiscale": True,
        "metadata": {"napari_sam2_slide": slide, "napari_sam2_path": path},
    }
    if slide.mpp is not None:
        sizes = (*[1.0] * len(planes), slide.mpp.row, slide.mpp.col)
        fields |= {"scale": sizes, "units": (*["pixel"] * len(planes), "um", "um")}
    if planes:
        fields["axis_labels"] = (*[axis.lower() for axis in planes], "y", "x")
    return levels, fields, "image"


def _label_layers(path: Path, slide: Slide) -> list[LayerData]:
    """The label groups of an OME-Zarr as Labels layers of one plane; what does not fit the slide is left out."""
    import dask.array as da

    layers: list[LayerData] = []
    with open_zarr(path) as file:
        images = file.images() if path.is_dir() else []
        for group in file.label_groups(images[0]) if images else ():
            image = image_of(file.attributes(group), file.name)
            array = file.array(f"{group}/{image.levels[0].path}")
            sizes = dict(zip(image.letters, array.shape, strict=True))
            planes = any(n > 1 for axis, n in sizes.items() if axis not in "YX")
            if planes or (sizes["Y"], sizes["X"]) != slide.shape or array.dtype.kind not in "ui":
                continue
            labels = da.from_zarr(array).reshape(slide.shape)
            fields: dict[str, Any] = {"name": group.rpartition("/")[2]}
            if slide.mpp is not None:
                fields |= {"scale": (slide.mpp.row, slide.mpp.col), "units": ("um", "um")}
            layers.append((labels, fields, "labels"))
    return layers


def shapes_of(objects: Iterable[SlideObject]) -> tuple[list[NDArray[np.float64]], dict[str, Any]]:
    """Outlines for a Shapes layer: (row, column) vertices, and its keyword arguments.

    A part of an object is one shape; a shape has no holes, so holes are shapes too, marked in ``features``.
    """
    import shapely

    outlines: list[NDArray[np.float64]] = []
    ids, names, classes, holes, colours = [], [], [], [], []
    for obj in objects:
        for part in shapely.get_parts(obj.geometry):
            for number, ring in enumerate(shapely.get_rings(part)):
                outlines.append(shapely.get_coordinates(ring)[:-1, ::-1] - 0.5)
                ids.append(obj.object_id)
                names.append(obj.name)
                classes.append(obj.class_name)
                holes.append(number > 0)
                colours.append(np.array([*(obj.shown_colour or DEFAULT_COLOUR), 255]) / 255)
    features = {"object_id": ids, "name": names, "class": classes, "is_hole": holes}
    return outlines, {
        "shape_type": "polygon",
        "features": features,
        "edge_color": np.array(colours).reshape(-1, 4),
        "face_color": "transparent",
    }


def polygon_of_shape(vertices: NDArray[np.floating]) -> Any:
    """A polygon drawn in a Shapes layer, as a valid geometry.

    (N, 2) rows and columns become pixel corners.
    """
    import shapely

    return shapely.make_valid(shapely.Polygon(np.asarray(vertices, dtype=float)[:, ::-1] + 0.5))


class _LevelView:
    """A level that looks like an array, so that dask reads it piece by piece."""

    dtype = np.dtype(np.uint8)

    def __init__(self, slide: Slide, level: int) -> None:
        self._slide = slide
        self._level = level
        self._axes = tuple(slide.planes)
        self.shape = (*slide.planes.values(), slide.levels[level].rows, slide.levels[level].cols, 3)
        self.ndim = len(self.shape)

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[np.uint8]:
        *planes, rows, cols, channels = (part.indices(size) for part, size in zip(key, self.shape, strict=True))
        size = rows[1] - rows[0], cols[1] - cols[0]
        pieces = []
        for place in itertools.product(*(range(*part) for part in planes)):
            slide = self._slide.at(dict(zip(self._axes, place, strict=True))) if place else self._slide
            pieces.append(slide.read(self._level, rows[0], cols[0], *size)[:, :, slice(*channels)])
        return np.stack(pieces).reshape(*(len(range(*part)) for part in planes), *pieces[0].shape)
