"""Sizes of objects over time: counted, and drawn as curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from napari_sam2.terms.structures import Structure

__all__ = ["area_plot", "pixels_over_time"]

WIDTH: Final = 960
HEIGHT: Final = 540
LEFT: Final = 90
RIGHT: Final = 220
TOP: Final = 30
BOTTOM: Final = 60
"""Of the picture, and of the margins around the curves, px."""

INK: Final = (40, 40, 40)
GRID: Final = (222, 222, 222)
STEPS: Final = 5
"""Intervals of the axis of areas, at most."""

SHOWN_NAMES: Final = 20


def pixels_over_time(frames: NDArray[np.integer], object_ids: Sequence[int]) -> NDArray[np.int64]:
    """Count the pixels of objects, frame by frame.

    Parameters
    ----------
    frames : (T, rows, columns) array of int
        Object ids.
    object_ids : sequence of int
        Whose.

    Returns
    -------
    (N, T) array of int64
    """
    counts = np.zeros((len(object_ids), len(frames)), np.int64)
    for t, frame in enumerate(frames):
        ids, pixels = np.unique(frame, return_counts=True)
        of_id = dict(zip(ids.tolist(), pixels.tolist(), strict=True))
        counts[:, t] = [of_id.get(object_id, 0) for object_id in object_ids]
    return counts


def area_plot(
    pixels: NDArray[np.int64], objects: Sequence[Structure], seconds: float | None, mm2: float | None
) -> Image:
    """Draw one curve per object: its area over time.

    Parameters
    ----------
    pixels : (N, T) array of int
        As `pixels_over_time`.
    objects : sequence of Structure
        Names and colours, in that order.
    seconds : float, optional
        From frame to frame; frames are counted without it.
    mm2 : float, optional
        Square millimetres of a pixel; pixels are shown without it.
    """
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    areas = pixels * (mm2 or 1.0)
    top = _round_up(float(areas.max(initial=0)) or 1.0)
    last = (pixels.shape[1] - 1) * (seconds or 1.0)
    for step in range(STEPS + 1):
        y = _y(top * step / STEPS, top)
        draw.line([(LEFT, y), (WIDTH - RIGHT, y)], GRID)
        draw.text((LEFT - 8, y), f"{top * step / STEPS:.4g}", INK, font, anchor="rm")
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / STEPS
        draw.text((x, HEIGHT - BOTTOM + 8), f"{last * step / STEPS:.4g}", INK, font, anchor="ma")
    draw.text((LEFT, TOP - 8), "area (mm²)" if mm2 else "area (px)", INK, font, anchor="lb")
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    draw.text((middle, HEIGHT - 14), "time (s)" if seconds else "frame", INK, font, anchor="mb")
    for number, (curve, structure) in enumerate(zip(areas, objects, strict=True)):
        _curve(draw, curve, top, structure.colour)
        if number < SHOWN_NAMES:
            y = TOP + 10 + 22 * number
            draw.line([(WIDTH - RIGHT + 16, y), (WIDTH - RIGHT + 40, y)], structure.colour, 3)
            draw.text((WIDTH - RIGHT + 48, y), structure.name[:20], INK, font, anchor="lm")
    return sheet


def _curve(draw: ImageDraw, areas: NDArray[np.floating], top: float, colour: tuple[int, int, int]) -> None:
    xs = np.linspace(LEFT, WIDTH - RIGHT, len(areas)) if len(areas) > 1 else np.array([float(LEFT)])
    points = [(float(x), _y(float(area), top)) for x, area in zip(xs, areas, strict=True)]
    if len(points) > 1:
        draw.line(points, colour, 3, joint="curve")
    else:
        draw.circle(points[0], 4, colour)


def _y(area: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * area / top


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= value * 0.999))
