"""Actions on one object of a slide.

And what they read from a journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import list_of
from napari_sam2.slides.encoding import (
    id_of,
    outline_from_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.core.history import Step
    from napari_sam2.slides.objects import SlideObject
    from napari_sam2.slides.state import SlideState

__all__ = ["AsRecorded", "ChangeObject", "OfObject", "RemoveObject", "recorded_outline"]


@dataclass(frozen=True, slots=True)
class OfObject(Edit):
    """An action on one object."""

    object_id: str

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {"object": self.object_id}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written.

        From its first change in a journal of version 0.1.0.
        """
        return cls(id_of((line if "object" in line else line["changes"][0])["object"]))


class RemoveObject(OfObject):
    """An object is removed."""

    name = title = "remove"

    def do(self, state: SlideState, step: Step) -> None:
        """See `SlideSession.remove`."""
        state.store.refuse_finished(self.object_id)
        state.store.remove(step, self.object_id)


@dataclass(frozen=True, slots=True, eq=False)
class ChangeObject(Edit):
    """Name, class, colour or state of an object are changed.

    Attributes
    ----------
    object_id : str
        The object.
    fields : mapping of str to Any
        Attributes of `SlideObject` with their new values.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "change"
    title: ClassVar[str] = "change"
    object_id: str
    fields: Mapping[str, Any]

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.change`."""
        record = state.store.record(self.object_id)
        if self.fields.get("finished") is not False:
            state.store.refuse_finished(self.object_id)
        changed = replace(record.outline, **self.fields)
        state.store.set(step, record, "outline", changed)
        return changed

    def as_json(self) -> dict[str, Any]:
        """The object; what it is now is in the change."""
        return {"object": self.object_id, "fields": sorted(self.fields)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """From its change.

        All that a person can change in a journal of version 0.1.0.
        """
        outline = recorded_outline(line, line.get("object"))
        names = line.get("fields", ["name", "object_class", "colour", "finished"])
        allowed = {"name", "object_class", "colour", "finished", "kind", "measurements", "metadata", "foreign"}
        fields = {name: getattr(outline, name) for name in list_of(names) if name in allowed}
        return cls(outline.object_id, fields)


@dataclass(frozen=True, slots=True, eq=False)
class AsRecorded(Edit):
    """An action that is taken over as it is.

    A journal of version 0.1.0 says only what came out of it.
    """

    name: ClassVar[str] = "as recorded"
    title: ClassVar[str] = "change"


def recorded_outline(line: Line, object_id: Any) -> SlideObject:
    """The outline of a line's object.

    Of the first changed one in a journal of version 0.1.0.
    """
    for written in list_of(line["changes"]):
        if written["field"] == "object" and "value" in written and object_id in (None, written["object"]):
            return outline_from_json(written["value"], id_of(written["object"]))
    raise ValueError("its object is missing")
