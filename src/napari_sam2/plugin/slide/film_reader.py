"""Films in OME-TIFF as napari layers.

Frames that are read when they are shown, with time named as time.
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.slides.image.resolution import mpp_from_ome

if TYPE_CHECKING:
    import os

__all__ = ["film_layers"]

AXES: Final = ("TYX", "TYXS", "TCYX")
"""What is shown as a film: grey frames, colour frames, and one layer per channel."""

LayerData = tuple[Any, dict[str, Any], str]


def film_layers(path: str | os.PathLike[str]) -> list[LayerData] | None:
    """Layers of a file that holds several frames.

    None when it is no such file.

    Returns
    -------
    list of tuple
        (dask array (T, rows, columns[, 3]), keyword arguments, ``"image"``), one per channel. ``axis_labels`` are
        t, y and x; ``scale`` is in microns where the file states it.
    """
    import tifffile

    file = Path(path)
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
