"""Actions on the list of classes of a slide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Action, Edit, Line, Setting
from napari_sam2.core.checked import list_of
from napari_sam2.slides.encoding import (
    class_from_json,
    class_to_json,
)

if TYPE_CHECKING:
    from napari_sam2.core.history import Step
    from napari_sam2.slides.objects import ObjectClass
    from napari_sam2.slides.state import SlideState

__all__ = ["ListClasses", "Recolour", "SetClasses"]


@dataclass(frozen=True, slots=True)
class _ClassList(Action):
    """A list of classes takes the place of the one before."""

    classes: tuple[ObjectClass, ...]

    def settle(self, state: SlideState) -> None:
        """Take over the list."""
        state.classes = self.classes

    def as_json(self) -> dict[str, Any]:
        """The list."""
        return {"classes": [class_to_json(c) for c in self.classes]}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(_classes(line))


class SetClasses(_ClassList, Edit):
    """The list of classes is replaced.

    Objects of a class whose colour has changed take the new one.
    """

    name: ClassVar[str] = "class list"
    title: ClassVar[str] = "class colours"
    always: ClassVar[bool] = True

    def do(self, state: SlideState, step: Step) -> None:
        """See `SlideSession.set_classes`."""
        self.settle(state)
        _recolour(state, step)


class Recolour(Edit):
    """Objects take the colours of the list of classes.

    The second half of `SetClasses` in version 0.1.0.
    """

    name = title = "class colours"

    def do(self, state: SlideState, step: Step) -> None:
        """Recolour them."""
        _recolour(state, step)


class ListClasses(_ClassList, Setting):
    """The list of classes has become longer."""

    name: ClassVar[str] = "classes"
    title: ClassVar[str] = "classes"


def _classes(line: Line) -> tuple[ObjectClass, ...]:
    read = (class_from_json(entry) for entry in list_of(line["classes"]))
    return tuple(entry for entry in read if entry is not None)


def _recolour(state: SlideState, step: Step) -> None:
    by_name = {c.name: c for c in state.classes}
    for record in state.store.objects.values():
        current = by_name.get(record.outline.class_name)
        if current not in (None, record.outline.object_class):
            state.store.set(step, record, "outline", replace(record.outline, object_class=current))
