"""What the panel's table shows of a slide's objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.slides.class_colours import DEFAULT_COLOUR
from napari_sam2.slides.objects import AREA_MICRONS

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.objects import SlideObject

__all__ = ["SlideRow", "slide_rows"]


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One line of the table.

    Attributes
    ----------
    object_id : str
        A UUID.
    name, class_name : str
        May be empty.
    colour : tuple of int
        Red, green, blue, 0 to 255.
    area : float
        In square microns where the pixel's size is known, else in pixels; NaN before there is an outline.
    score : float
        The model's own estimate; NaN where no model made the outline.
    finished : bool
        Whether nothing changes it.
    """

    object_id: str
    name: str
    class_name: str
    colour: tuple[int, int, int]
    area: float
    score: float
    finished: bool


def slide_rows(work: SlideWork | None) -> list[SlideRow]:
    """One row per object for the table.

    The current one is among them even before its first prompt is answered.
    """
    if work is None:
        return []
    rows = [_row(obj, number) for number, obj in enumerate(work.snapshot.objects, start=1)]
    if work.current_object is None:
        rows.append(SlideRow(work.current, "new object", "", DEFAULT_COLOUR, math.nan, math.nan, finished=False))
    return rows


def _row(obj: SlideObject, number: int) -> SlideRow:
    return SlideRow(
        obj.object_id,
        # What was found automatically has no name; its line has to be told from the next one.
        obj.name or f"found {number}",
        obj.class_name,
        obj.shown_colour or DEFAULT_COLOUR,
        obj.measurements.get(AREA_MICRONS, obj.geometry.area),
        math.nan if obj.score is None else obj.score,
        obj.finished,
    )
