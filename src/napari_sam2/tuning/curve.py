"""The learning curve as a small picture."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.tuning.learner import CurvePoint

__all__ = ["draw_curve"]

SIZE: Final = (420, 260)
FRAME: Final = (38, 30, 408, 226)
"""Left, top, right and bottom of the axes, in pixels."""

COLOURS: Final = {"own": (0, 90, 160), "rehearsed": (200, 110, 0)}
TITLES: Final = {"own": "scans learned from", "rehearsed": "rehearsed"}
TEXT: Final = 13
INK: Final = (40, 40, 40)
GRID: Final = (222, 222, 222)


def draw_curve(points: Sequence[CurvePoint], steps: int) -> bytes:
    """Draw Dice over steps as a PNG.

    Parameters
    ----------
    points : sequence of CurvePoint
        By step; the first is before the first step.
    steps : int
        Of the whole run.
    """
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    draw.font = ImageFont.load_default(TEXT)
    left, top, right, bottom = FRAME
    for tenth in range(0, 11, 2):
        y = bottom - (bottom - top) * tenth / 10
        draw.line((left, y, right, y), fill=GRID)
        draw.text((left - 8, y), f"{tenth / 10:.1f}", fill=INK, anchor="rm")
    draw.line((left, top, left, bottom, right, bottom), fill=INK)
    draw.text((left, bottom + 8), "0", fill=INK, anchor="ma")
    draw.text((right, bottom + 8), f"{steps} steps", fill=INK, anchor="ra")
    draw.text((left, 8), "Dice of carried slices, on clips that never change", fill=INK)
    for row, (name, colour) in enumerate(COLOURS.items()):
        values = [(point.step, getattr(point, name)) for point in points]
        places = [
            (left + (right - left) * step / max(1, steps), bottom - (bottom - top) * value)
            for step, value in values
            if not math.isnan(value)
        ]
        if not places:
            continue
        if len(places) > 1:
            draw.line(places, fill=colour, width=2)
        for x, y in places:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        draw.text((right - 8, bottom - 40 + 16 * row), TITLES[name], fill=colour, anchor="ra")
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
