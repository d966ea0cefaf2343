"""The picture of a case.

Where its largest object is largest, in three planes, and its most doubtful slices.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.io.atomic import write_bytes
from napari_sam2.measures.montage import montage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.measures.measure import Measurement
    from napari_sam2.session.review import DoubtfulSlice

__all__ = ["draw_overview"]

DOUBTFUL_SHOWN: Final = 3
HEIGHT: Final = 180
"""Pixels: a row of a report, and 500 of them within tens of megabytes."""

QUALITY: Final = 80
"""Of the JPEG file."""


def draw_overview(
    volume: Volume,
    window: Window,
    labels: NDArray[np.integer],
    measurements: Sequence[Measurement],
    queue: Sequence[DoubtfulSlice],
    target: Path,
) -> None:
    """Draw a strip of slices with contours, as JPEG.

    Parameters
    ----------
    volume : Volume
        The scan.
    window : Window
        How it is shown.
    labels : (I, J, K) array of int
        The result.
    measurements : sequence of Measurement
        Of the objects in it.
    queue : sequence of DoubtfulSlice
        The most doubtful first; the first three are shown.
    target : Path
        The file; it is replaced.
    """
    places = _planes(volume, labels, measurements) + [(s.axis, s.index) for s in queue[:DOUBTFUL_SHOWN]]
    tiles = [_fitted(montage(volume, window, labels, axis=axis, slices=[index])) for axis, index in places]
    buffer = io.BytesIO()
    _joined(tiles).save(buffer, "JPEG", quality=QUALITY)
    write_bytes(target, buffer.getvalue(), overwrite=True)


def _planes(volume: Volume, labels: NDArray[Any], measurements: Sequence[Measurement]) -> list[tuple[int, int]]:
    """Axis and index of three slices through the largest object, each where its section is largest."""
    first = volume.default_slice_axis
    axes = [first, *(axis for axis in range(3) if axis != first and volume.shape[axis] > 1)]
    if not measurements:
        return [(axis, volume.shape[axis] // 2) for axis in axes]
    largest = max(measurements, key=lambda m: m.volume_ml)
    box = tuple(slice(low, high + 1) for low, high in zip(largest.low, largest.high, strict=True))
    inside = labels[box] == largest.label_id
    sections = [inside.sum(tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    return [(axis, largest.low[axis] + int(sections[axis].argmax())) for axis in axes]


def _fitted(tile: Image) -> Image:
    from PIL.Image import Resampling

    scale = min(HEIGHT / tile.height, 2 * HEIGHT / tile.width)
    size = max(1, round(tile.width * scale)), max(1, round(tile.height * scale))
    return tile.resize(size, Resampling.BILINEAR)


def _joined(tiles: list[Image]) -> Image:
    from PIL import Image

    sheet = Image.new("RGB", (sum(tile.width for tile in tiles), HEIGHT))
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, (HEIGHT - tile.height) // 2))
        left += tile.width
    return sheet
