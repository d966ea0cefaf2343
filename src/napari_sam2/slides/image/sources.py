"""Pixel sources: one small class per library that reads slides.

Each gives raw pixels of any piece of any level; what they mean is for `Slide` to say.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.errors import ImageFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.io.photometric import Samples

__all__ = ["ArraySource", "ConvertedSource", "OpenSlideSource", "TiffSlideSource", "TifffileSource"]


class ArraySource:
    """A picture in memory, as the only level of a slide.

    Parameters
    ----------
    pixels : (rows, columns) or (rows, columns, C) array
        The picture.
    """

    def __init__(self, pixels: NDArray[Any]) -> None:
        self._pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
        self.level_shapes = (self._pixels.shape[:2],)
        self.n_channels = int(self._pixels.shape[2])
        self.dtype = self._pixels.dtype

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`."""
        return self._pixels[row : row + rows, col : col + cols]

    def close(self) -> None:
        """Nothing is open."""


class TifffileSource:
    """A TIFF series through tifffile and zarr.

    OME-TIFF, and tiled TIFF of any kind.

    Parameters
    ----------
    path : Path
        The file.
    series : tifffile.TiffPageSeries
        Of an open `tifffile.TiffFile`, which this source closes.
    tiff : tifffile.TiffFile
        That file.
    """

    def __init__(self, path: Path, series: Any, tiff: Any) -> None:
        import zarr

        self._name = path.name
        self._tiff = tiff
        self._axes = series.axes
        y, x = self._axes.index("Y"), self._axes.index("X")
        self.level_shapes = tuple((int(level.shape[y]), int(level.shape[x])) for level in series.levels)
        self._stores = [level.aszarr() for level in series.levels]
        self._arrays = [_array_of(zarr.open(store, mode="r")) for store in self._stores]
        self._channel_axis = next((self._axes.index(a) for a in "SC" if a in self._axes), None)
        self.n_channels = 1 if self._channel_axis is None else int(series.shape[self._channel_axis])
        self.dtype = np.dtype(series.dtype)

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`. Of other axes (z, t) the first plane is taken."""
        chosen: list[Any] = [0] * len(self._axes)
        chosen[self._axes.index("Y")] = slice(row, row + rows)
        chosen[self._axes.index("X")] = slice(col, col + cols)
        if self._channel_axis is not None:
            chosen[self._channel_axis] = slice(None)
        try:
            piece = np.asarray(self._arrays[level][tuple(chosen)])
        except Exception as error:  # codecs raise many kinds on damaged tiles
            raise _damaged(self._name, level) from error
        if self._channel_axis is None:
            return piece[..., np.newaxis]
        # Only three axes are left, in stored order.
        left = [a for i, a in enumerate(self._axes) if isinstance(chosen[i], slice)]
        order = [left.index("Y"), left.index("X"), left.index(self._axes[self._channel_axis])]
        return piece.transpose(order)

    def close(self) -> None:
        """Close the file."""
        for store in self._stores:
            store.close()
        self._tiff.close()


class ConvertedSource:
    """Another source whose samples are turned into grey or RGB.

    Palettes, inks, inverted or single bits.

    Parameters
    ----------
    source : PixelSource
        Gives stored samples; closed with this one.
    samples : Samples
        What they mean.
    """

    def __init__(self, source: Any, samples: Samples) -> None:
        self._source = source
        self._samples = samples
        self.level_shapes = source.level_shapes
        self.n_channels = samples.channels_of(source.n_channels)
        self.dtype = samples.dtype_of(source.dtype)

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`."""
        return self._samples.apply(self._source.read(level, row, col, rows, cols))

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


class TiffSlideSource:
    """Vendors' TIFF slides through tiffslide."""

    def __init__(self, path: Path, slide: Any) -> None:
        self._name = path.name
        self._slide = slide
        self.level_shapes = tuple((int(height), int(width)) for width, height in slide.level_dimensions)
        first = self.read(len(self.level_shapes) - 1, 0, 0, 1, 1)
        self.n_channels, self.dtype = int(first.shape[2]), first.dtype

    @property
    def properties(self) -> dict[str, Any]:
        """What the file states, under tiffslide's names."""
        return dict(self._slide.properties)

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`."""
        # tiffslide takes a level-0 place and truncates it to the level.
        down = self._slide.level_downsamples[level]
        try:
            return np.asarray(
                self._slide.read_region(
                    (math.ceil(col * down), math.ceil(row * down)), level, (cols, rows), as_array=True, padding=False
                )
            )
        except Exception as error:  # codecs raise many kinds on damaged tiles
            raise _damaged(self._name, level) from error

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


class OpenSlideSource:
    """Every other format through OpenSlide, which gives RGBA."""

    n_channels = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, slide: Any) -> None:
        self._name = path.name
        self._slide = slide
        self.level_shapes = tuple((int(height), int(width)) for width, height in slide.level_dimensions)

    @property
    def properties(self) -> dict[str, Any]:
        """What the file states, under OpenSlide's names."""
        return dict(self._slide.properties)

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`. Places that were never scanned are transparent, and become white."""
        down = self._slide.level_downsamples[level]
        try:
            place = (round(col * down), round(row * down))
            rgba = np.asarray(self._slide.read_region(place, level, (cols, rows)))
        except Exception as error:  # openslide.OpenSlideError, and PIL's own
            raise _damaged(self._name, level) from error
        alpha = rgba[..., 3:]
        if (alpha == 255).all():
            return rgba[..., :3]
        share = alpha.astype(np.float32) / 255
        return np.rint(rgba[..., :3] * share + 255 * (1 - share)).astype(np.uint8)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def _array_of(opened: Any) -> Any:
    # A level with levels below it opens as a group whose array "0" is the level itself.
    return opened if hasattr(opened, "shape") else opened["0"]


def _damaged(name: str, level: int) -> ImageFileError:
    return ImageFileError(f"{name} is damaged: a piece of level {level} cannot be decoded; copy or export it again.")
