"""Actions on a whole object of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import colour_of, flag_of, list_of, text_of
from napari_sam2.session.encoding import (
    axis_of,
    code_from_json,
    code_to_json,
    id_of,
    term_from_json,
)
from napari_sam2.session.triplanar import TriplanarCheck, steps_of_check, take_consensus
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from napari_sam2.core.history import Step
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["AddObject", "Describe", "FinishObject", "RemoveObject", "TakeConsensus"]


@dataclass(frozen=True, slots=True)
class AddObject(Edit):
    """An object is begun without a prompt.

    Attributes
    ----------
    object_id : int, optional
        The next free one by default.
    called : str
        Its name.
    axis : int, optional
        Axis of its slices.
    term : Term, optional
        Instead of a name: with code and colour.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "new object"
    title: ClassVar[str] = "new object"
    object_id: int | None = None
    called: str = ""
    axis: int | None = None
    term: Term | None = None

    def do(self, state: SessionState, step: Step) -> ObjectRecord:
        """See `Session.add_object`."""
        if self.axis is not None:
            state.axis = self.axis
        if self.term is not None and self.object_id is not None:
            state.terms = {**state.terms, self.object_id: self.term}
        return state.new_object(step, self.object_id, self.called)

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """From its change."""
        (written,) = list_of(line["changes"], 1)
        value = written["value"]
        return cls(id_of(written["object"]), axis=axis_of(value["axis"]), term=term_from_json(value))


@dataclass(frozen=True, slots=True)
class _OfObject(Edit):
    """An action on a whole object."""

    object_id: int

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {"object": self.object_id}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written; from its first change in a journal of version 0.1.0."""
        return cls(id_of((line if "object" in line else line["changes"][0])["object"]))


class RemoveObject(_OfObject):
    """An object is forgotten, with its prompts and masks."""

    name = title = "removed object"

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.remove_object`."""
        state.store.remove(step, state.find(self.object_id).object_id)


@dataclass(frozen=True, slots=True)
class FinishObject(_OfObject):
    """An object is declared finished, or is opened again."""

    name: ClassVar[str] = "finished object"
    title: ClassVar[str] = "finished object"
    finished: bool = True

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.finish_object`."""
        _set_attributes(state, step, self.object_id, finished=self.finished)

    def as_json(self) -> dict[str, Any]:
        """The object, and which of both."""
        return {"object": self.object_id, "finished": self.finished}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written.

        From its change in a journal of version 0.1.0.
        """
        if "object" in line:
            return cls(id_of(line["object"]), flag_of(line["finished"]))
        (written,) = list_of(line["changes"], 1)
        return cls(id_of(written["object"]), flag_of(written["value"]))


@dataclass(frozen=True, slots=True)
class Describe(Edit):
    """An object gets a term's name, code and colour.

    Attributes
    ----------
    object_id : int
        The object.
    term : Term
        What it is.
    """

    name: ClassVar[str] = "name"
    title: ClassVar[str] = "name"
    object_id: int
    term: Term

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.describe`."""
        term = self.term
        _set_attributes(state, step, self.object_id, name=term.name, code=term.code, colour=term.colour)

    def as_json(self) -> dict[str, Any]:
        """Object, name, code and colour."""
        term = self.term
        return {
            "object": self.object_id,
            "name": term.name,
            "code": code_to_json(term.code),
            "colour": None if term.colour is None else list(term.colour),
        }

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written.

        From its changes in a journal of version 0.1.0, which leave out what stayed.
        """
        if "object" in line:
            return cls(id_of(line["object"]), term_from_json(line))
        changes = list_of(line["changes"])
        obj = state.find(id_of(changes[0]["object"]))
        values: dict[str, Any] = {written["field"]: written["value"] for written in changes}
        return cls(
            obj.object_id,
            Term(
                text_of(values["name"]) if "name" in values else obj.name,
                code_from_json(values["code"]) if "code" in values else obj.code,
                colour_of(values["colour"]) if "colour" in values else obj.colour,
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class TakeConsensus(Edit):
    """An object's masks are replaced by what most of three axes hold.

    Attributes
    ----------
    object_id : int
        The object.
    check : TriplanarCheck, optional
        What the axes say; asked again when it is not given.
    """

    name: ClassVar[str] = "consensus"
    title: ClassVar[str] = "consensus"
    object_id: int
    check: TriplanarCheck | None = None

    def do(self, state: SessionState, step: Step) -> int:
        """See `accept_consensus`."""
        check = self.check
        if check is None:
            *_, last = steps_of_check(state, self.object_id)
            if not isinstance(last, TriplanarCheck):
                raise TypeError("A check that nobody stops ends with its result.")
            check = last
        return take_consensus(state, step, check)

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {"objects": [self.object_id]}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written."""
        (object_id,) = list_of(line["objects"], 1)
        return cls(id_of(object_id))


def _set_attributes(state: SessionState, step: Step, object_id: int, **values: Any) -> None:
    obj = state.find(object_id)
    for name, value in values.items():
        if getattr(obj, name) != value:
            state.store.set(step, obj, name, value)
