"""Many small objects: every click is an object of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.slides.objects import new_id

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.work import SlideWork

__all__ = ["OneByOne"]


class OneByOne:
    """Whether a click begins a new object.

    Parameters
    ----------
    work : SlideWork
        The slide.

    Attributes
    ----------
    on : bool
        Whether it does. Otherwise clicks belong to the current object until the next one is begun.
    """

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self.on = False

    def toggle(self) -> None:
        """Switch it on or off."""
        self.on = not self.on
        self._work.told.emit(
            "Every click is an object of its own; a click on an object selects it, a right click corrects it."
            if self.on
            else "Clicks belong to the current object; N begins the next one."
        )
        self._work.changed.emit()

    def takes(self, row: float, col: float) -> bool:
        """Prepare for a click at a place in level-0 pixels.

        Whether an object there was selected instead.
        """
        there = self._object_at(row, col)
        if there is None:
            self.begin()
            return False
        self._work.select(there)
        obj = self._work.current_object
        if obj is not None:
            what = f", {obj.class_name}" if obj.class_name else ""
            self._work.told.emit(f"{obj.name or 'Object'}{what}.")
        return True

    def begin(self) -> None:
        """Begin a new object, unless the current one has not begun."""
        if self._work.is_begun:
            self._work.select(new_id())

    def _object_at(self, row: float, col: float) -> str | None:
        """The smallest object that holds a place."""
        import shapely

        objects = self._work.snapshot.objects
        if not objects:
            return None
        holding = shapely.contains_xy([obj.geometry for obj in objects], col + 0.5, row + 0.5)
        there = [obj for obj, holds in zip(objects, holding, strict=True) if holds]
        return min(there, key=lambda obj: obj.geometry.area).object_id if there else None
