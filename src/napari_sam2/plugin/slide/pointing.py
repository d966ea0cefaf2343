"""Pointing at a slide.

What a click, a box or a resting mouse means for the current object.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.plugin.slide.reader import shapes_of
from napari_sam2.slides.objects import SlideObject
from napari_sam2.slides.prompts import SlideBox, SlidePoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from napari_sam2.plugin.slide.work import SlideWork

__all__ = ["SlidePointer"]

SMALLEST_BOX: Final = 4.0
"""Screen pixels along each side; a smaller box comes from an unsteady hand."""

PREVIEW_PAUSE: Final = 0.04
"""Seconds between two pictures of a stroke that is being drawn."""


class SlidePointer:
    """Turns pointing at a slide into prompts.

    Of the current object.

    Parameters
    ----------
    work : SlideWork
        The slide.
    """

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self._generation = 0
        self._drawn_at = 0.0
        self.n_previews = 0

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """Include or exclude a place of the current object.

        Where every click is an object of its own, an included place begins a new one, or selects the one that is there.
        """
        place = self._place(world)
        if place is None or not self._work.is_seen_at(world):
            return
        self.clear_preview()
        if positive and self._work.one_by_one.on and self._work.one_by_one.takes(*place):
            return
        self._work.add_prompt(SlidePoint(*place, positive=positive))

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Put a box around the current object."""
        work = self._work
        box, view = self._box(start, end), work.view()
        if view is None:
            return
        work.prompts.show_rubber_band(None, view.pixel)
        large = min(box.row1 - box.row0, box.col1 - box.col0) >= SMALLEST_BOX * view.pixel
        if large and work.is_seen_at([(a + b) / 2 for a, b in zip(start, end, strict=True)]):
            if work.one_by_one.on:
                work.one_by_one.begin()
            work.add_prompt(box)

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """Show the box that is being drawn."""
        view = self._work.view()
        if view is not None:
            self._work.prompts.show_rubber_band(None if end is None else self._box(start, end), view.pixel)

    def hover_at(self, world: Sequence[float]) -> None:
        """Preview the outline that a click here would give a new object."""
        work, switch = self._work, self._work.workspace.preview
        place, view = self._place(world), work.view()
        if view is None or not switch.on:
            return
        self._generation += 1
        generation, field = self._generation, view.field
        if place is None:
            work.prompts.show_preview((), view.pixel)
            return
        point = SlidePoint(*place)

        def done(geometry: Any) -> None:
            # A newer place was pointed at: this answer is stale.
            if generation == self._generation and switch.on:
                work.prompts.show_preview(shapes_of([SlideObject(geometry)])[0], view.pixel)
                self.n_previews += 1

        work.ask_quietly(lambda session: session.preview(point, field), done, key="hover")

    @property
    def draws(self) -> bool:
        """Whether a hand tool is chosen."""
        return bool(self._work.hand.mode)

    def stroke_preview(self, path: Sequence[Sequence[float]]) -> None:
        """Show what the stroke that is being drawn covers."""
        view, now = self._work.view(), time.monotonic()
        if view is None or now - self._drawn_at < PREVIEW_PAUSE:
            return
        self._drawn_at = now
        drawn = self._work.hand.shape(self._corners(path), view.pixel)
        outlines = () if drawn.is_empty else shapes_of([SlideObject(drawn)])[0]
        self._work.prompts.show_preview(outlines, view.pixel)

    def stroke_along(self, path: Sequence[Sequence[float]]) -> None:
        """Use the chosen hand tool along a stroke."""
        work, view = self._work, self._work.view()
        self.clear_preview()
        if view is not None and self._place(path[0]) is not None and work.is_seen_at(path[0]):
            work.hand.stroke(self._corners(path), view.pixel)

    def clear_preview(self) -> None:
        """Take the hover preview away, and drop answers on their way."""
        self._generation += 1
        self._work.prompts.show_preview((), 1.0)

    def _corners(self, path: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
        """A path as (column, row) in level-0 pixel corners."""
        placed = [self._work.image.world_to_data(world)[-2:] for world in path]
        return [(float(col) + 0.5, float(row) + 0.5) for row, col in placed]

    def _place(self, world: Sequence[float]) -> tuple[float, float] | None:
        """(row, column) of a world position; None outside the slide."""
        row, col = (round(float(c), 2) for c in self._work.image.world_to_data(world)[-2:])
        rows, cols = self._work.shape
        inside = -0.5 <= row <= rows - 0.5 and -0.5 <= col <= cols - 0.5
        return (row, col) if inside else None

    def _box(self, start: Sequence[float], end: Sequence[float]) -> SlideBox:
        """The box over the pixels under both corners, cut at the slide's border."""
        corners = np.array([self._work.image.world_to_data(corner)[-2:] for corner in (start, end)])
        last = np.array(self._work.shape) - 1
        (row0, col0), (row1, col1) = np.clip(np.round(corners), 0, last).tolist()
        return SlideBox(min(row0, row1), min(col0, col1), max(row0, row1), max(col0, col1))
