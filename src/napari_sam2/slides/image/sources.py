"""Pixel sources: one small class per library that reads slides.

Each gives raw pixels of any piece of any level; what they mean is for `Slide` to say.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import ImageFileError
from napari_sam2.io.zarr_store import read_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.io.photometric import Samples
    from napari_sam2.io.zarr_store import ZarrFile

__all__ = ["ArraySource", "ConvertedSource", "OpenSlideSource", "TiffSlideSource", "TifffileSource", "ZarrSource"]

LARGEST_TILE: Final = 1 << 27
"""Pixels of a tile. OpenSlide decodes a tile whole, at four bytes a pixel, and ends the process when they are not to be
had."""


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
        self._channel = next((a for a in "SC" if a in self._axes), "")
        self.n_channels = int(series.shape[self._axes.index(self._channel)]) if self._channel else 1
        self.dtype = np.dtype(series.dtype)
        self.planes = _planes(self._axes, series.shape, self._channel)
        self.plane: Mapping[str, int] = dict.fromkeys(self.planes, 0)

    def at(self, plane: Mapping[str, int]) -> TifffileSource:
        """See `StackSource`."""
        other = copy.copy(self)
        other.plane = dict(plane)
        return other

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `StackSource`."""
        chosen = _part(self._axes, self._channel, self.plane, (row, col, rows, cols))
        try:
            piece = np.asarray(self._arrays[level][chosen])
        except Exception as error:  # codecs raise many kinds on damaged tiles
            raise _damaged(self._name, level) from error
        return _rows_first(piece, self._axes, self._channel)

    def close(self) -> None:
        """Close the file."""
        for store in self._stores:
            store.close()
        self._tiff.close()


class ZarrSource:
    """One image of an OME-Zarr file.

    Parameters
    ----------
    file : ZarrFile
        Open; closed with this.
    axes : str
        A letter per axis, see `napari_sam2.io.ngff.NgffImage.letters`.
    arrays : sequence of zarr.Array
        The levels, the finest first.
    """

    def __init__(self, file: ZarrFile, axes: str, arrays: Sequence[Any]) -> None:
        self._file = file
        self._axes = axes
        self._arrays = arrays
        y, x = axes.index("Y"), axes.index("X")
        self.level_shapes = tuple((int(level.shape[y]), int(level.shape[x])) for level in arrays)
        self._channel = "C" if "C" in axes else ""
        self.n_channels = int(arrays[0].shape[axes.index("C")]) if self._channel else 1
        self.dtype = np.dtype(np.uint8) if arrays[0].dtype == bool else arrays[0].dtype.newbyteorder("=")
        self.planes = _planes(axes, arrays[0].shape, self._channel)
        self.plane: Mapping[str, int] = dict.fromkeys(self.planes, 0)

    def at(self, plane: Mapping[str, int]) -> ZarrSource:
        """See `StackSource`."""
        other = copy.copy(self)
        other.plane = dict(plane)
        return other

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `StackSource`.

        A level with fewer planes gives the one at the same part of its depth.
        """
        shape = self._arrays[level].shape
        plane = {a: i * int(shape[self._axes.index(a)]) // self.planes[a] for a, i in self.plane.items()}
        chosen = _part(self._axes, self._channel, plane, (row, col, rows, cols))
        return _rows_first(read_array(self._arrays[level], chosen, self._file.name), self._axes, self._channel).astype(
            self.dtype, copy=False
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ConvertedSource:
    """Another source whose samples are turned into grey or RGB.

    Palettes, inks, inverted or single bits.

    Parameters
    ----------
    source : StackSource
        Gives stored samples; closed with this one.
    samples : Samples
        What they mean.
    """

    def __init__(self, source: TifffileSource, samples: Samples) -> None:
        self._source = source
        self._samples = samples
        self.level_shapes = source.level_shapes
        self.n_channels = samples.channels_of(source.n_channels)
        self.dtype = samples.dtype_of(source.dtype)

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """See `PixelSource`."""
        return self._samples.apply(self._source.read(level, row, col, rows, cols))

    @property
    def planes(self) -> Mapping[str, int]:
        """See `StackSource`."""
        return self._source.planes

    @property
    def plane(self) -> Mapping[str, int]:
        """See `StackSource`."""
        return self._source.plane

    def at(self, plane: Mapping[str, int]) -> ConvertedSource:
        """See `StackSource`."""
        return ConvertedSource(self._source.at(plane), self._samples)

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
        stated = self.properties
        for level in range(len(self.level_shapes)):
            sides = [int(stated.get(f"openslide.level[{level}].tile-{side}", 0)) for side in ("width", "height")]
            if math.prod(sides) > LARGEST_TILE:
                raise ImageFileError(
                    f"{path.name} says that its tiles have {sides[0]} x {sides[1]} pixels, which cannot be; copy or "
                    "export it again."
                )

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


def _planes(axes: str, shape: Sequence[int], channel: str) -> dict[str, int]:
    """Axes of which one index is looked at, with their lengths."""
    return {axis: int(n) for axis, n in zip(axes, shape, strict=True) if axis not in ("Y", "X", channel)}


def _part(axes: str, channel: str, plane: Mapping[str, int], piece: tuple[int, int, int, int]) -> tuple[Any, ...]:
    """The index of a piece (first row and column, size) of one plane, with all channels."""
    row, col, rows, cols = piece
    parts: dict[str, Any] = {**plane, "Y": slice(row, row + rows), "X": slice(col, col + cols)}
    if channel:
        parts[channel] = slice(None)
    return tuple(parts[axis] for axis in axes)


def _rows_first(piece: NDArray[Any], axes: str, channel: str) -> NDArray[Any]:
    """(rows, columns, C) of what `_part` chose, whatever the stored order."""
    if not channel:
        return (piece if axes.index("Y") < axes.index("X") else piece.T)[..., np.newaxis]
    left = [axis for axis in axes if axis in ("Y", "X", channel)]
    return piece.transpose([left.index("Y"), left.index("X"), left.index(channel)])


def _array_of(opened: Any) -> Any:
    # A level with levels below it opens as a group whose array "0" is the level itself.
    return opened if hasattr(opened, "shape") else opened["0"]


def _damaged(name: str, level: int) -> ImageFileError:
    return ImageFileError(f"{name} is damaged: a piece of level {level} cannot be decoded; copy or export it again.")
