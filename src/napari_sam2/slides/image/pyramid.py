"""A slide: a pyramid of levels, read piece by piece.

As 8-bit RGB.

Level 0 is the full image; each further level shows the same scene with fewer pixels. A piece may reach
beyond the slide: what lies outside is background.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np

from napari_sam2.slides.image.planes import choose_plane

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.image.channels import ChannelMix

__all__ = ["Level", "PixelSource", "Slide", "StackSource"]

BLOCK: Final = 2048
"""Side of the blocks, in pixels of a level, in which a large piece is read and reduced: memory stays flat."""

THUMBNAIL: Final = 1024
"""Longer side of the overview on which tissue is found and intensities are surveyed."""


KEY_PIECES: Final = 6
KEY_SIDE: Final = 64
"""Pieces along each side of the coarsest level, and their side in pixels, from which `Slide.key` is made."""


class PixelSource(Protocol):
    """What a format's reader gives: raw pixels of any level."""

    @property
    def level_shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each level, level 0 first."""
        ...

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[Any]:
        """Pixels (rows, cols, C) of a piece of a level.

        The piece lies inside the level, in level pixels.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


@runtime_checkable
class StackSource(PixelSource, Protocol):
    """A reader of a file with several planes."""

    @property
    def planes(self) -> Mapping[str, int]:
        """Axes beside rows, columns and channels, by letter, with their lengths."""
        ...

    @property
    def plane(self) -> Mapping[str, int]:
        """The index along each that pieces are read from."""
        ...

    def at(self, plane: Mapping[str, int]) -> StackSource:
        """The same file, open once, with pieces from another plane."""
        ...


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide.

    Attributes
    ----------
    rows, cols : int
        Its size in its own pixels.
    downsample : float
        Level-0 pixels along one of its pixels; 1 for level 0.
    """

    rows: int
    cols: int
    downsample: float


class Slide:
    """A lazy pyramid.

    Parameters
    ----------
    source : PixelSource
        Reads raw pixels.
    name : str
        File name without its folder.
    mpp : Mpp, optional
        Microns per level-0 pixel; None when no one has stated it.
    mix : ChannelMix, optional
        How channels become RGB; None when its pixels are RGB of 8 bits already.
    is_dark : bool, optional
        Whether the background is black; by default so when there is a `mix`.
    notes : tuple of str
        Sentences about odd things found while opening.
    """

    def __init__(
        self,
        source: PixelSource,
        name: str,
        *,
        mpp: Mpp | None = None,
        mix: ChannelMix | None = None,
        is_dark: bool | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._source = source
        self.name = name
        self.mpp = mpp
        self.mix = mix
        self._is_dark = mix is not None if is_dark is None else is_dark
        self.notes = notes
        rows, cols = source.level_shapes[0]
        self.levels = tuple(Level(r, c, _downsample(rows, cols, r, c)) for r, c in source.level_shapes)

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    @property
    def source(self) -> PixelSource:
        """What reads its raw pixels."""
        return self._source

    def show_channels(self, mix: ChannelMix | None) -> None:
        """Turn intensities into colours in another way from now on."""
        self.mix = None if mix is None else mix.named_as(self.mix)
        self.__dict__.pop("overview", None)

    @property
    def planes(self) -> dict[str, int]:
        """Axes of planes (Z, T, ...) that are longer than 1.

        With their lengths.
        """
        planes: Mapping[str, int] = self._source.planes if isinstance(self._source, StackSource) else {}
        return {axis: count for axis, count in planes.items() if count > 1}

    @property
    def plane(self) -> dict[str, int]:
        """The plane that is looked at: its index along each of `planes`."""
        chosen: Mapping[str, int] = self._source.plane if isinstance(self._source, StackSource) else {}
        return {axis: index for axis, index in chosen.items() if axis in self.planes}

    def show_plane(self, chosen: Mapping[str, int]) -> None:
        """Look at another plane from now on.

        Raises
        ------
        UserInputError
            If there is no such plane.
        """
        wanted = ",".join(f"{axis}={index}" for axis, index in chosen.items())
        if isinstance(self._source, StackSource) and wanted:
            self._source = self._source.at(choose_plane(self._source.planes, wanted, self.name))
            self.__dict__.pop("overview", None)

    def at(self, chosen: Mapping[str, int]) -> Slide:
        """Another plane of the same open slide, shown the same way.

        Closed with this one.

        Raises
        ------
        UserInputError
            If there is no such plane.
        """
        other = Slide(self._source, self.name, mpp=self.mpp, mix=self.mix, is_dark=self._is_dark, notes=self.notes)
        other.show_plane(chosen)
        return other

    @property
    def z_and_t(self) -> tuple[int, int]:
        """The plane that is looked at, as QuPath counts it.

        Along z, then over time, from 0.
        """
        plane = self.plane
        return plane.get("Z", 0), plane.get("T", 0)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of level 0."""
        return self.levels[0].rows, self.levels[0].cols

    @property
    def is_fluorescence(self) -> bool:
        """Whether background is black rather than white."""
        return self._is_dark

    @property
    def background(self) -> int:
        """Grey value of what lies outside the slide."""
        return 0 if self.is_fluorescence else 255

    @cached_property
    def key(self) -> str:
        """A short name made from pixels alone.

        It finds a session again, and says nothing about the patient.

        From small pieces of the coarsest level as the file holds them, whatever channels and plane are shown.
        """
        source = self._source
        if isinstance(source, StackSource):
            source = source.at(dict.fromkeys(source.planes, 0))
        digest = hashlib.sha256(repr([(level.rows, level.cols) for level in self.levels]).encode())
        last = len(self.levels) - 1
        rows, cols = self.levels[last].rows, self.levels[last].cols
        height, width = min(rows, KEY_SIDE), min(cols, KEY_SIDE)
        for row in np.linspace(0, rows - height, KEY_PIECES).astype(int).tolist():
            for col in np.linspace(0, cols - width, KEY_PIECES).astype(int).tolist():
                digest.update(np.ascontiguousarray(source.read(last, row, col, height, width)).tobytes())
        return digest.hexdigest()[:24]

    def read(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[np.uint8]:
        """Read a piece of one level.

        Parameters
        ----------
        level : int
            Which level, 0 is the finest.
        row, col : int
            First row and column, in pixels of that level; may be negative.
        rows, cols : int
            Size in pixels of that level; may reach beyond the slide.

        Returns
        -------
        (rows, cols, 3) uint8 array
            RGB; outside the slide it is `background`.
        """
        full = self.levels[level]
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + rows, full.rows), min(col + cols, full.cols)
        if (top, left, bottom, right) == (row, col, row + rows, col + cols):
            return self._rgb(level, row, col, rows, cols)
        piece = np.full((rows, cols, 3), self.background, dtype=np.uint8)
        if bottom > top and right > left:
            inside = self._rgb(level, top, left, bottom - top, right - left)
            piece[top - row : bottom - row, left - col : right - col] = inside
        return piece

    def read_scaled(self, row: int, col: int, rows: int, cols: int, scale: int) -> NDArray[np.uint8]:
        """Read a piece at any whole scale.

        From the nearest finer level, averaged over areas.

        Parameters
        ----------
        row, col : int
            First row and column in level-0 pixels.
        rows, cols : int
            Size of the result in pixels, each `scale` x `scale` level-0 pixels.
        scale : int
            1 or more.

        Returns
        -------
        (rows, cols, 3) uint8 array
            RGB.
        """
        level = self.level_for(scale)
        ratio = scale / self.levels[level].downsample
        if ratio == 1 and row % scale == 0 and col % scale == 0:
            return self.read(level, row // scale, col // scale, rows, cols)
        result = np.empty((rows, cols, 3), dtype=np.uint8)
        step = max(1, int(BLOCK / ratio))
        for r in range(0, rows, step):
            for c in range(0, cols, step):
                height, width = min(step, rows - r), min(step, cols - c)
                result[r : r + height, c : c + width] = self._reduced(
                    level, (row + r * scale, col + c * scale), (height, width), scale
                )
        return result

    def level_for(self, scale: float) -> int:
        """The coarsest level that is fine enough for a scale.

        `scale` is in level-0 pixels per pixel.
        """
        fine_enough = [i for i, level in enumerate(self.levels) if level.downsample <= scale * (1 + 1e-6)]
        return fine_enough[-1]

    @cached_property
    def overview_scale(self) -> int:
        """Level-0 pixels along one pixel of the overview: a power of two."""
        return _power_of_two(max(1.0, max(self.shape) / THUMBNAIL))

    @cached_property
    def overview(self) -> NDArray[np.uint8]:
        """The whole slide, small.

        At most `THUMBNAIL` pixels along its longer side, (rows, columns, 3).
        """
        rows, cols = (math.ceil(n / self.overview_scale) for n in self.shape)
        return self.read_scaled(0, 0, rows, cols, self.overview_scale)

    def _rgb(self, level: int, row: int, col: int, rows: int, cols: int) -> NDArray[np.uint8]:
        raw = self._source.read(level, row, col, rows, cols)
        if self.mix is not None:
            return self.mix.apply(raw)
        return np.ascontiguousarray(raw[..., :3] if raw.shape[2] >= 3 else np.repeat(raw[..., :1], 3, axis=2))

    def _reduced(self, level: int, origin: tuple[int, int], shape: tuple[int, int], scale: int) -> NDArray[np.uint8]:
        down = self.levels[level].downsample
        weights, starts, counts = [], [], []
        for first, size in zip(origin, shape, strict=True):
            matrix, start, count = _area_weights(first / down, scale / down, size)
            weights.append(matrix)
            starts.append(start)
            counts.append(count)
        piece = self.read(level, starts[0], starts[1], counts[0], counts[1])
        # Down the rows first, then across: two thin sparse products.
        lower = (weights[0] @ piece.reshape(counts[0], -1).astype(np.float32)).reshape(shape[0], counts[1], 3)
        across = weights[1] @ lower.transpose(1, 0, 2).reshape(counts[1], -1)
        averaged = across.reshape(shape[1], shape[0], 3).transpose(1, 0, 2)
        reduced: NDArray[np.uint8] = np.rint(averaged).astype(np.uint8)
        return reduced


def _area_weights(first: float, step: float, size: int) -> tuple[Any, int, int]:
    """Sparse (size, count) matrix that averages `count` pixels from `start` over intervals of `step` from `first`."""
    from scipy import sparse

    edges = first + step * np.arange(size + 1)
    start, stop = math.floor(edges[0] + 1e-9), math.ceil(edges[-1] - 1e-9)
    reach = math.ceil(step) + 1
    columns = np.floor(edges[:-1, None] + 1e-9).astype(int) + np.arange(reach)
    shared = np.minimum(edges[1:, None], columns + 1) - np.maximum(edges[:-1, None], columns)
    shared = np.where((shared > 1e-9) & (columns < stop), shared, 0.0)
    shared /= shared.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(size), reach)
    kept = shared.ravel() > 0
    matrix = sparse.csr_array(
        (shared.ravel()[kept].astype(np.float32), (rows[kept], columns.ravel()[kept] - start)),
        shape=(size, stop - start),
    )
    return matrix, start, stop - start


def _downsample(rows: int, cols: int, level_rows: int, level_cols: int) -> float:
    """Level-0 pixels per level pixel. Writers drop or add the odd last pixel, so a near-whole ratio is whole."""
    longer, short = (rows, level_rows) if rows >= cols else (cols, level_cols)
    ratio = longer / short
    whole = round(ratio)
    return float(whole) if abs(longer - whole * short) <= 2 * whole else ratio


def _power_of_two(value: float) -> int:
    return 1 << max(0, math.ceil(math.log2(value) - 1e-9))
