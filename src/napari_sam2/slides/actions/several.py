"""Actions on several objects of a slide, each one step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import flag_of, list_of
from napari_sam2.errors import UserInputError
from napari_sam2.slides.encoding import class_from_json, class_to_json, id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam2.core.history import Step
    from napari_sam2.slides.objects import ObjectClass, SlideRecord
    from napari_sam2.slides.state import SlideState

__all__ = ["ClassifyObjects", "FinishObjects", "RemoveObjects"]


@dataclass(frozen=True, slots=True)
class _OfObjects(Edit):
    """An action on several objects; what is finished is left as it is.

    Attributes
    ----------
    object_ids : tuple of str
        The objects.
    """

    object_ids: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The objects."""
        return {"objects": list(self.object_ids)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(_ids(line))

    def _open(self, state: SlideState) -> Iterator[SlideRecord]:
        """Those that may be changed.

        Raises
        ------
        UserInputError
            If all of them are finished, or one is not there.
        """
        records = [state.store.record(object_id) for object_id in self.object_ids]
        open_ones = [record for record in records if not record.outline.finished]
        if records and not open_ones:
            # The sentence is the same as for one object.
            state.store.refuse_finished(records[0].object_id)
        yield from open_ones


@dataclass(frozen=True, slots=True)
class ClassifyObjects(_OfObjects):
    """Objects get a class, or lose theirs."""

    name: ClassVar[str] = "class of objects"
    title: ClassVar[str] = "class"
    object_class: ObjectClass | None = None

    def do(self, state: SlideState, step: Step) -> int:
        """See `SlideSession.classify`."""
        count = 0
        for record in self._open(state):
            state.store.set(step, record, "outline", replace(record.outline, object_class=self.object_class))
            count += 1
        return count

    def as_json(self) -> dict[str, Any]:
        """The objects and their class."""
        return {"objects": list(self.object_ids), "class": class_to_json(self.object_class)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(_ids(line), class_from_json(line["class"]))


@dataclass(frozen=True, slots=True)
class FinishObjects(_OfObjects):
    """Objects are declared finished, or reopened."""

    name: ClassVar[str] = "finish objects"
    title: ClassVar[str] = "done"
    finished: bool = True

    def do(self, state: SlideState, step: Step) -> int:
        """See `SlideSession.finish_objects`."""
        count = 0
        for object_id in self.object_ids:
            record = state.store.record(object_id)
            if record.outline.finished != self.finished:
                state.store.set(step, record, "outline", replace(record.outline, finished=self.finished))
                count += 1
        return count

    def as_json(self) -> dict[str, Any]:
        """The objects, and which of both."""
        return {"objects": list(self.object_ids), "finished": self.finished}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(_ids(line), flag_of(line["finished"]))


@dataclass(frozen=True, slots=True)
class RemoveObjects(_OfObjects):
    """Objects are removed."""

    name: ClassVar[str] = "remove objects"
    title: ClassVar[str] = "remove"

    def do(self, state: SlideState, step: Step) -> int:
        """See `SlideSession.remove_objects`."""
        count = 0
        for record in list(self._open(state)):
            state.store.remove(step, record.object_id)
            count += 1
        return count


def _ids(line: Line) -> tuple[str, ...]:
    ids = tuple(id_of(value) for value in list_of(line["objects"]))
    if len(set(ids)) != len(ids):
        raise UserInputError("an object is named twice")
    return ids
