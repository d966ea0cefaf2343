"""Films as napari layers, with time named as time.

Frames of an OME-TIFF are read when they are shown.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari.utils.notifications import show_warning

from napari_sam2.io.film_read import film_volume, read_film
from napari_sam2.io.names import without_suffix
from napari_sam2.io.resolution import mpp_from_ome
from napari_sam2.plugin.scan.films import film_layer

if TYPE_CHECKING:
    import os

__all__ = ["film_layers", "is_timed_tiff"]

AXES: Final = ("TYX", "TYXS", "TCYX")
"""What is shown as a film: grey frames, colour frames, and one layer per channel."""

LayerData = tuple[Any, dict[str, Any], str]


def film_layers(path: str | os.PathLike[str]) -> list[LayerData] | None:
    """Layers of a file that holds several frames.

    None when it is no such file.

    Parameters
    ----------
    path : path-like
        As in `napari_sam2.io.film_read.read_film`.

    Returns
    -------
    list of tuple
        (array (T, rows, columns[, 3]), keyword arguments, ``"image"``), one per channel of an OME-TIFF.
        ``axis_labels`` are t, y and x; ``scale`` is in microns where the file states it.

    Raises
    ------
    ImageFileError, EnvironmentLacksError
        If it is a film that cannot be read.
    """
    file = Path(path)
    lazy = _lazy_layers(file)
    if lazy is not None:
        return lazy
    film = read_film(file)
    if film is None:
        return None
    for note in film.notes:
        show_warning(f"{file.name}: {note}")
    return [film_layer(film, film_volume(film, file), without_suffix(file.name))]


def is_timed_tiff(file: Path) -> bool:
    """Whether a TIFF is one picture over time.

    It names an axis of time, and no other beside rows, columns and colours.
    """
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            sizes = dict(zip(tiff.series[0].axes, tiff.series[0].shape, strict=True)) if tiff.series else {}
    except Exception:  # tifffile raises many kinds on damaged files; another reader says what is wrong
        return False
    further = {name for name, length in sizes.items() if length > 1} - set("YXS")
    return further == {"T"}


def _lazy_layers(file: Path) -> list[LayerData] | None:
    import tifffile

    if not file.name.lower().endswith((".ome.tif", ".ome.tiff")):
        return None
    try:
        tiff = tifffile.TiffFile(file)
    except Exception:  # tifffile raises many kinds on damaged files; the slide reader says what is wrong
        return None
    with tiff:
        if not tiff.series or tiff.series[0].axes not in AXES or not tiff.is_ome:
            return None
        mpp = mpp_from_ome(tiff.ome_metadata or "")
        axes = tiff.series[0].axes
    import dask.array as da

    film = _Film(file)
    n_leading = axes.index("Y")
    chunks = (1,) * n_leading + film.shape[n_leading:]
    frames = da.from_array(film, chunks=chunks, name=False, asarray=False, fancy=False)
    fields: dict[str, Any] = {"axis_labels": ("t", "y", "x"), "rgb": axes == "TYXS"}
    if mpp is not None:
        fields |= {"scale": (1.0, mpp.row, mpp.col), "units": ("pixel", "um", "um")}
    if axes != "TCYX":
        return [(frames, {**fields, "name": file.name}, "image")]
    return [
        (frames[:, c], {**fields, "name": f"{file.name} channel {c}", "blending": "additive"}, "image")
        for c in range(frames.shape[1])
    ]


class _Film:
    """The frames of a file as something like an array; the file is closed with it."""

    def __init__(self, path: Path) -> None:
        import tifffile
        import zarr

        store = tifffile.imread(path, aszarr=True, level=0)
        self._array: Any = zarr.open(store, mode="r")
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype = self._array.dtype
        self.ndim = len(self.shape)
        weakref.finalize(self, store.close)

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        return self._array[key]
