"""Pointing at a slide: what a click, a box or a resting mouse means for the current object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam2.plugin.canvas.early_gestures import EarlyGestures
from napari_sam2.plugin.slide.reader import shapes_of
from napari_sam2.slides.objects import SlideObject
from napari_sam2.slides.prompts import SlideBox, SlidePoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from napari_sam2.plugin.slide.desk import SlideDesk

__all__ = ["SlidePointing"]

SMALLEST_BOX: Final = 4.0
"""Screen pixels along each side; a smaller box comes from an unsteady hand."""


class SlidePointing(EarlyGestures):
    """The target of a `GestureTool` while a slide is chosen.

    Parameters
    ----------
    desk : SlideDesk
        Knows the work on the chosen slide.
    """

    def __init__(self, desk: SlideDesk) -> None:
        super().__init__(lambda: desk.is_opening)
        self._desk = desk
        self._generation = 0
        self.n_previews = 0

    def click_at(self, world: Sequence[float], *, positive: bool) -> None:
        """Include or exclude a place of the current object."""
        if self._desk.current is None:
            self._keep(lambda: self.click_at(world, positive=positive))
            return
        place = self._place(world)
        if place is not None:
            self.clear_preview()
            self._desk.current.add_prompt(SlidePoint(*place, positive=positive))

    def box_between(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Put a box around the current object."""
        work = self._desk.current
        if work is None:
            self._keep(lambda: self.box_between(start, end))
            return
        box, view = self._box(start, end), work.view()
        if view is None:
            return
        work.marks.show_rubber_band(None, view.pixel)
        if box is not None and min(box.row1 - box.row0, box.col1 - box.col0) >= SMALLEST_BOX * view.pixel:
            work.add_prompt(box)

    def box_preview(self, start: Sequence[float], end: Sequence[float] | None) -> None:
        """Show the box that is being drawn."""
        work = self._desk.current
        view = None if work is None else work.view()
        if work is not None and view is not None:
            work.marks.show_rubber_band(None if end is None else self._box(start, end), view.pixel)

    def hover_at(self, world: Sequence[float]) -> None:
        """Preview the outline that a click here would give a new object."""
        work = self._desk.current
        place = self._place(world)
        view = None if work is None else work.view()
        if work is None or view is None or not self._desk.preview_enabled:
            return
        self._generation += 1
        generation, field = self._generation, view.field
        if place is None:
            work.marks.show_preview((), view.pixel)
            return
        point = SlidePoint(*place)

        def done(geometry: Any) -> None:
            # A newer place was pointed at: this answer is stale.
            if generation == self._generation and self._desk.preview_enabled:
                work.marks.show_preview(shapes_of([SlideObject(geometry)])[0], view.pixel)
                self.n_previews += 1

        work.ask_quietly(lambda session: session.preview(point, field), done, key="hover")

    def clear_preview(self) -> None:
        """Take the preview away, and drop answers on their way."""
        self._generation += 1
        work = self._desk.current
        if work is not None:
            work.marks.show_preview((), 1.0)

    def _place(self, world: Sequence[float]) -> tuple[float, float] | None:
        """(row, column) of a world position; None outside the slide."""
        work = self._desk.current
        if work is None:
            return None
        row, col = (round(float(c), 2) for c in work.image.world_to_data(world)[-2:])
        inside = -0.5 <= row <= work.shape[0] - 0.5 and -0.5 <= col <= work.shape[1] - 0.5
        return (row, col) if inside else None

    def _box(self, start: Sequence[float], end: Sequence[float]) -> SlideBox | None:
        """The box over the pixels under both corners, cut at the slide's border."""
        work = self._desk.current
        if work is None:
            return None
        corners = np.array([work.image.world_to_data(corner)[-2:] for corner in (start, end)])
        (row0, col0), (row1, col1) = np.clip(np.round(corners), 0, np.array(work.shape) - 1).tolist()
        return SlideBox(min(row0, row1), min(col0, col1), max(row0, row1), max(col0, col1))
