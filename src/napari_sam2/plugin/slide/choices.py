"""What a person states about a slide and its objects: classes, the size of a pixel, the overlap rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam2.slides.image.resolution import parse_mpp

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.desk import SlideDesk

__all__ = ["SlideChoices"]


class SlideChoices:
    """One method per choice; each acts on the work on the chosen slide.

    Parameters
    ----------
    desk : SlideDesk
        Knows it.
    """

    def __init__(self, desk: SlideDesk) -> None:
        self._desk = desk

    def set_class(self, name: str) -> None:
        """Say what the current object is; an unknown name becomes a class, an empty one takes the class away."""
        work = self._desk.current
        if work is not None and work.object is not None:
            object_id = work.current
            work.ask(lambda session: session.set_class(object_id, name))

    def colour_class(self, name: str, colour: tuple[int, int, int]) -> None:
        """Give a class, and all of its objects, a colour."""
        work = self._desk.current
        if work is not None:
            classes = [replace(c, colour=colour) if c.name == name else c for c in work.snapshot.classes]
            work.ask(lambda session: session.set_classes(classes))

    def drop_class(self, name: str) -> None:
        """Take a class off the list; objects keep theirs."""
        work = self._desk.current
        if work is not None:
            classes = [c for c in work.snapshot.classes if c.name != name]
            work.ask(lambda session: session.set_classes(classes))

    def set_overlap(self, rule: str) -> None:
        """Choose who keeps a place that two objects claim, from the next change on."""
        if self._desk.current is not None:
            self._desk.current.ask(lambda session: session.set_overlap(rule))

    def set_mpp(self, given: str) -> None:
        """State the microns per pixel of a slide whose file does not.

        Raises
        ------
        UserInputError
            If it is not a size.
        """
        mpp = parse_mpp(given)
        if self._desk.current is not None:
            self._desk.current.ask(
                lambda session: session.set_mpp(mpp), lambda _: self._desk.say(f"{mpp.mean:g} µm per pixel, as stated.")
            )
