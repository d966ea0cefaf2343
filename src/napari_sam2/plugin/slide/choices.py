"""Statements about a slide.

Classes, the size of a pixel, the overlap rule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam2.io.resolution import parse_mpp

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.work import SlideWork

__all__ = ["SlideChoices"]


class SlideChoices:
    """One method per choice.

    Parameters
    ----------
    work : SlideWork
        The slide.
    """

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self.for_new = ""
        """The class that new objects get: the one that was chosen last."""

    def set_class(self, name: str) -> None:
        """Say what the current object is.

        Or all that are selected with it, and what new objects will be.

        An unknown name becomes a class, an empty one takes the class away.
        """
        work = self._work
        self.for_new = name
        object_ids = work.targets

        def done(count: int) -> None:
            what = name or "no class"
            if count > 1:
                work.told.emit(f"{count} objects: {what}. New objects as well.")
            else:
                work.told.emit(f"{what[0].upper()}{what[1:]}, and for new objects.")

        work.ask(lambda session: session.classify(object_ids, name), done)

    def use_number(self, number: int) -> None:
        """Choose the class of a number key.

        From 1; 0 is no class.
        """
        classes = self._work.snapshot.classes
        if number == 0:
            self.set_class("")
        elif number <= len(classes):
            self.set_class(classes[number - 1].name)
        else:
            self._work.told.emit(f"There is no class {number} yet: type its name into the field Class and press Enter.")

    def colour_class(self, name: str, colour: tuple[int, int, int]) -> None:
        """Give a class, and all of its objects, a colour."""
        classes = [replace(c, colour=colour) if c.name == name else c for c in self._work.snapshot.classes]
        self._work.ask(lambda session: session.set_classes(classes))

    def drop_class(self, name: str) -> None:
        """Take a class off the list; objects keep theirs."""
        classes = [c for c in self._work.snapshot.classes if c.name != name]
        self._work.ask(lambda session: session.set_classes(classes))

    def set_overlap(self, rule: str) -> None:
        """Choose which of two objects keeps a shared place.

        From the next change on.
        """
        self._work.ask(lambda session: session.set_overlap(rule))

    def set_mpp(self, text: str) -> None:
        """State the microns per pixel of a slide whose file does not.

        Raises
        ------
        UserInputError
            If it is not a size.
        """
        mpp = parse_mpp(text)
        self._work.ask(
            lambda session: session.set_mpp(mpp),
            lambda _: self._work.told.emit(f"{mpp.mean:g} µm per pixel, as stated."),
        )
