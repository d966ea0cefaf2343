"""The masks that a click may mean, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.work import SlideWork
    from napari_sam2.slides.session import SlideSession

__all__ = ["MaskChoice"]


class MaskChoice:
    """Goes through the masks of the current object's one click.

    Parameters
    ----------
    work : SlideWork
        The slide.
    """

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self._shown: tuple[str, int, float | None] = ("", 0, None)
        """The object, the mask that it has, and what was on the screen when its first choice was made."""

    def next(self) -> None:
        """Take the next mask."""
        work, view = self._work, self._work.view()
        object_id = work.current
        if work.current_object is None:
            work.told.emit("Click on an object first; then this goes through what the click may mean.")
            return
        field = None if view is None else view.field
        last_id, last, last_field = self._shown
        if last_id == object_id:
            # The same look, wherever the view has moved since: the masks stay the same ones.
            number, field = last + 1, last_field
        else:
            number = 1

        def choose(session: SlideSession) -> Any:
            return session.choose_mask(object_id, number, field=field)

        def done(chosen: Any) -> None:
            obj, at, count = chosen
            self._shown = (object_id, at, field)
            score = "" if obj.score is None else f", score {obj.score:.2f}"
            work.told.emit(f"Mask {at + 1} of {count}{score}. M shows the next one, a click corrects it.")

        work.ask(choose, done)
