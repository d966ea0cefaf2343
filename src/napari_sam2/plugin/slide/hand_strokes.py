"""Strokes of the hand on outlines of a slide: brush, eraser, lasso."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from psygnal import Signal

from napari_sam2.errors import UserInputError
from napari_sam2.slides.polygons import areas_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.session import SlideSession

__all__ = ["SlideStrokes", "stroke_shape"]

MODES: Final = {
    "brush": "Brush: drag to paint; zoom in for a finer one",
    "erase": "Eraser: drag to take away; zoom in for a finer one",
    "lasso": "Lasso: drag around what belongs to the object; with Shift a box as always",
}
"""What a plain drag does, and what is said of it."""

RADIUS: Final = 8.0
"""Of the brush, in pixels of the screen, until another one is chosen."""

CORNERS: Final = 400
"""Most corners of a stroke: more than the screen shows."""

ROUNDNESS: Final = 4
"""Corners of a quarter of the brush's circle."""

SIMPLIFY: Final = 0.25
"""Screen pixels by which an outline made by hand may be straightened."""


class SlideStrokes:
    """What a plain drag draws on a slide.

    Nothing until a mode is chosen.

    Parameters
    ----------
    work : SlideWork
        Whose current object is shaped.

    Attributes
    ----------
    mode : str
        One of `MODES`; empty for none.
    radius : float
        Of the brush, in pixels of the screen.
    """

    changed = Signal(str)
    """Another mode is chosen; empty for none."""

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self.mode = ""
        self.radius = RADIUS

    def choose(self, mode: str) -> None:
        """Choose what a drag does.

        The same again, or an empty mode, gives the drag back to the view.
        """
        self.mode = "" if mode == self.mode else mode
        self.changed.emit(self.mode)
        self._work.told.emit(f"{MODES[self.mode]}." if self.mode else "A drag moves the view again.")

    def shape(self, path: Sequence[tuple[float, float]], pixel: float) -> Any:
        """What a path covers on the slide.

        Parameters
        ----------
        path : sequence of (float, float)
            Column and row in level-0 pixel corners.
        pixel : float
            Level-0 pixels along one pixel of the screen.
        """
        import shapely

        rows, cols = self._work.shape
        drawn = stroke_shape(path, 0.0 if self.mode == "lasso" else self.radius * pixel, SIMPLIFY * pixel)
        return areas_of(drawn.intersection(shapely.box(0, 0, cols, rows)))

    def stroke(self, path: Sequence[tuple[float, float]], pixel: float) -> None:
        """Use the chosen mode along a path; parameters as in `shape`."""
        work, mode = self._work, self.mode
        drawn = self.shape(path, pixel)
        if drawn.is_empty:
            work.told.emit("The lasso has no area; drag around something.")
            return
        object_id, class_name = work.current, work.choices.for_new
        tolerance = SIMPLIFY * pixel

        def use(session: SlideSession) -> Any:
            obj = session.find(object_id)
            if obj is None:
                if mode == "erase":
                    raise UserInputError("There is no outline to erase from yet.")
                return session.draw(drawn, object_id, class_name=class_name)
            return session.edit(object_id, _changed(obj.geometry, drawn, tolerance, erase=mode == "erase"))

        def done(obj: Any) -> None:
            work.told.emit(f"{mode.capitalize()}: {obj.name or 'the object'} is changed. Ctrl+Z takes it back.")

        work.ask(use, done)


def stroke_shape(path: Sequence[tuple[float, float]], radius: float, tolerance: float) -> Any:
    """The area of a stroke.

    Parameters
    ----------
    path : sequence of (float, float)
        Column and row, at least one.
    radius : float
        Of the brush; 0 for a lasso, whose path is an outline.
    tolerance : float
        By which it may be straightened.

    Returns
    -------
    shapely geometry
        Empty for a lasso without area.
    """
    import shapely

    step = math.ceil(len(path) / CORNERS)
    corners = [*path[:-1:step], path[-1]]
    if radius > 0:
        line = shapely.Point(corners[0]) if len(corners) < 2 else shapely.LineString(corners).simplify(tolerance)
        return line.buffer(radius, quad_segs=ROUNDNESS)
    if len(corners) < 3:
        return shapely.Polygon()
    # A lasso that crosses itself is read as what it goes around.
    return areas_of(shapely.Polygon(corners).buffer(0).simplify(tolerance))


def _changed(before: Any, drawn: Any, tolerance: float, *, erase: bool) -> Any:
    """The outline with what was drawn, or without it.

    Raises
    ------
    UserInputError
        If nothing would be left.
    """
    after = areas_of((before.difference(drawn) if erase else before.union(drawn)).simplify(tolerance))
    if after.is_empty:
        raise UserInputError("Nothing would be left of the object; Remove takes it away.")
    return after
