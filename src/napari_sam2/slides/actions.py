"""Every action of a slide's session: what it does, how it is written, and how it is read again.

The names are those of journals since version 0.1.0, which wrote outcomes only: where a line does not say what was
asked, the action is `AsRecorded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from napari_sam2.core.actions import Action, Edit, Redo, Resumed, Setting, Undo, UseModel
from napari_sam2.core.checked import flag_of, list_of, number_of, text_of
from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.slides.answers.refine import refine
from napari_sam2.slides.automatic.run import AutomaticRequest
from napari_sam2.slides.encoding import (
    class_from_json,
    class_to_json,
    id_of,
    mix_from_json,
    mix_to_json,
    outline_from_json,
    prompt_from_json,
    prompt_to_json,
)
from napari_sam2.slides.objects import SCORE, ObjectClass, SlideObject, check_overlap_rule, measured
from napari_sam2.slides.prompts import ObjectRequest, SlideBox, SlidePoint, check_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.core.history import Step
    from napari_sam2.slides.image.channels import ChannelMix
    from napari_sam2.slides.prompts import SlidePrompt
    from napari_sam2.slides.state import SlideState

__all__ = [
    "AddPrompt",
    "AsRecorded",
    "BeginAutomatic",
    "ChangeObject",
    "Draw",
    "EditOutline",
    "EndAutomatic",
    "ListClasses",
    "Refine",
    "RemoveObject",
    "SetClasses",
    "SetMpp",
    "ShowChannels",
    "TakeFound",
    "TakeObjects",
    "UseOverlap",
    "slide_action",
]

Line = Mapping[str, Any]

LARGEST_FIELD: Final = 1e9


@dataclass(frozen=True, slots=True)
class AddPrompt(Edit):
    """An object is begun with a prompt, or corrected by one.

    Attributes
    ----------
    object_id : str
        The object; a new one if it is not known.
    prompt : SlidePoint or SlideBox
        In level-0 pixels.
    field : float, optional
        Level-0 pixels along the shorter side of what is on the screen.
    called : str
        Name of a new object.
    """

    name: ClassVar[str] = "prompt"
    title: ClassVar[str] = "prompt"
    object_id: str
    prompt: SlidePrompt
    field: float | None = None
    called: str = ""

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.add_prompt`."""
        record = state.store.objects.get(self.object_id)
        known = None if record is None else record.outline
        if known is not None:
            state.store.refuse_finished(self.object_id)
        starts_afresh = isinstance(self.prompt, SlideBox)
        before = () if record is None else record.prompts
        if known is not None and not before and not starts_afresh and not known.geometry.is_empty:
            # An outline that no prompt gave: a place inside it says what is meant.
            inside = known.geometry.representative_point()
            before = (SlidePoint(inside.y - 0.5, inside.x - 0.5),)
        prompts = (*(p for p in before if not (starts_afresh and isinstance(p, SlideBox))), self.prompt)
        check_requests([ObjectRequest(1, prompts)], state.slide.shape, state.slide.name)
        previous = None if starts_afresh or known is None else state.answer_of(known)
        answer = state.engine.answer(prompts, previous=previous, field=self.field)
        if answer.bounds is None:
            raise UserInputError("Nothing was found there; draw a box around the object.")
        if known is None:
            name = self.called or f"object {len(state.store) + 1}"
            known = SlideObject(answer.polygon(), object_id=self.object_id, name=name)
        return state.put_answer(step, known, answer, prompts)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        asked = {"object": self.object_id, "add": prompt_to_json(self.prompt), "field": self.field}
        return {**asked, "name": self.called} if self.called else asked

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        view = None if line["field"] is None else number_of(line["field"], 0.0, LARGEST_FIELD, "a field")
        return cls(id_of(line["object"]), prompt_from_json(line["add"]), view, text_of(line.get("name", "")))


@dataclass(frozen=True, slots=True)
class _OfObject(Edit):
    """An action on one object."""

    object_id: str

    def as_json(self) -> dict[str, Any]:
        """The object."""
        return {"object": self.object_id}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written; from its first change in a journal of version 0.1.0."""
        return cls(id_of((line if "object" in line else line["changes"][0])["object"]))


@dataclass(frozen=True, slots=True)
class Refine(_OfObject):
    """An object's outline is looked at with twice the resolution."""

    name: ClassVar[str] = "refine"
    title: ClassVar[str] = "refine"
    should_stop: Callable[[], bool] = field(default=lambda: False, compare=False)

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.refine`."""
        record = state.store.record(self.object_id)
        answer = state.answer_of(record.outline) if record.prompts else None
        if answer is None:
            raise UserInputError("Only an outline that a prompt gave can be refined; add a click to it first.")
        return state.put_answer(step, record.outline, refine(state.engine, answer, self.should_stop), record.prompts)


class RemoveObject(_OfObject):
    """An object is removed."""

    name = title = "remove"

    def do(self, state: SlideState, step: Step) -> None:
        """See `SlideSession.remove`."""
        state.store.refuse_finished(self.object_id)
        state.store.remove(step, self.object_id)


@dataclass(frozen=True, slots=True, eq=False)
class Draw(Edit):
    """An outline drawn by hand becomes an object."""

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "draw"
    title: ClassVar[str] = "draw"
    outline: SlideObject

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.draw`."""
        if self.outline.geometry.area == 0:
            raise UserInputError("The drawn outline has no area; draw around something.")
        record = state.store.objects.get(self.outline.object_id)
        prompts = () if record is None else record.prompts
        return state.store.place(step, measured(self.outline, state.slide.mpp), prompts)

    def as_json(self) -> dict[str, Any]:
        """Which of the changed objects it is, and its outline before others cut it."""
        return {"object": self.outline.object_id, "drawn": _geometry_to_json(self.outline.geometry)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """From its change; the outline as it came to lie in a journal of version 0.1.0."""
        outline = _recorded(line, line.get("object"))
        return cls(replace(outline, geometry=_geometry_from_json(line["drawn"])) if "drawn" in line else outline)


@dataclass(frozen=True, slots=True, eq=False)
class EditOutline(Edit):
    """An outline is replaced by one drawn by hand; its prompts and score no longer hold."""

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "edit"
    title: ClassVar[str] = "edit"
    object_id: str
    geometry: Any

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.edit`."""
        old = state.store[self.object_id]
        numbers = {name: value for name, value in old.measurements.items() if name != SCORE}
        edited = measured(replace(old, geometry=self.geometry, measurements=numbers), state.slide.mpp)
        return state.store.place(step, edited)

    def as_json(self) -> dict[str, Any]:
        """Which of the changed objects it is, and its outline before others cut it."""
        return {"object": self.object_id, "drawn": _geometry_to_json(self.geometry)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """From its change; the outline as it came to lie in a journal of version 0.1.0."""
        outline = _recorded(line, line.get("object"))
        return cls(outline.object_id, _geometry_from_json(line["drawn"]) if "drawn" in line else outline.geometry)


@dataclass(frozen=True, slots=True, eq=False)
class TakeObjects(Edit):
    """Objects that were made elsewhere are taken over."""

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "import"
    title: ClassVar[str] = "import"
    objects: tuple[SlideObject, ...]
    label: str = ""

    @property
    def said(self) -> str:
        """The label that a script gave, if it did."""
        return self.label or self.title

    def do(self, state: SlideState, step: Step) -> int:
        """See `SlideSession.add_objects`."""
        fresh = {obj.object_id: measured(obj, state.slide.mpp) for obj in self.objects}
        for object_id in fresh:
            if object_id in state.store:
                state.store.refuse_finished(object_id)
        for obj in fresh.values():
            state.store.place(step, obj, overlap=False)
        return len(self.objects)

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """From its changes."""
        changes = [c for c in list_of(line["changes"]) if c["field"] == "object" and "value" in c]
        return cls(tuple(outline_from_json(c["value"], id_of(c["object"])) for c in changes))


@dataclass(frozen=True, slots=True, eq=False)
class TakeFound(TakeObjects):
    """Objects that an automatic run has found are taken over."""

    name: ClassVar[str] = "automatic"
    title: ClassVar[str] = "automatic"


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
        """From its change; all that a person can change in a journal of version 0.1.0."""
        outline = _recorded(line, line.get("object"))
        names = line.get("fields", ["name", "object_class", "colour", "finished"])
        allowed = {"name", "object_class", "colour", "finished", "kind", "measurements", "metadata", "foreign"}
        fields = {name: getattr(outline, name) for name in list_of(names) if name in allowed}
        return cls(outline.object_id, fields)


@dataclass(frozen=True, slots=True)
class SetClasses(Edit):
    """The list of classes is replaced; objects of a class whose colour has changed take the new one."""

    name: ClassVar[str] = "class list"
    title: ClassVar[str] = "class colours"
    always: ClassVar[bool] = True
    classes: tuple[ObjectClass, ...]

    def do(self, state: SlideState, step: Step) -> None:
        """See `SlideSession.set_classes`."""
        self.settle(state)
        _recolour(state, step)

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


class Recolour(Edit):
    """Objects take the colours of the list of classes: the second half of `SetClasses` in version 0.1.0."""

    name = title = "class colours"

    def do(self, state: SlideState, step: Step) -> None:
        """Recolour them."""
        _recolour(state, step)


@dataclass(frozen=True, slots=True)
class ListClasses(Setting):
    """The list of classes has become longer."""

    name: ClassVar[str] = "classes"
    title: ClassVar[str] = "classes"
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


@dataclass(frozen=True, slots=True)
class SetMpp(Setting):
    """The size of a pixel is stated."""

    name: ClassVar[str] = "mpp"
    title: ClassVar[str] = "size of a pixel"
    mpp: Mpp

    def settle(self, state: SlideState) -> None:
        """Measure all objects anew."""
        state.use_mpp(self.mpp)

    def as_json(self) -> dict[str, Any]:
        """Both sides, and where they stand."""
        return {"row": self.mpp.row, "col": self.mpp.col, "origin": self.mpp.origin}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        row, col = (number_of(line[side], 1e-6, 1e6, "the size of a pixel") for side in ("row", "col"))
        return cls(Mpp(row, col, text_of(line["origin"])))


@dataclass(frozen=True, slots=True)
class UseOverlap(Setting):
    """Another rule says what happens where objects overlap, from the next change on."""

    name: ClassVar[str] = "overlap"
    title: ClassVar[str] = "overlap"
    rule: str

    def settle(self, state: SlideState) -> None:
        """Use it."""
        state.store.overlap = check_overlap_rule(self.rule)

    def as_json(self) -> dict[str, Any]:
        """The rule."""
        return {"rule": self.rule}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(check_overlap_rule(text_of(line["rule"])))


@dataclass(frozen=True, slots=True)
class ShowChannels(Setting):
    """The model sees intensities in another way."""

    name: ClassVar[str] = "channels"
    title: ClassVar[str] = "channels"
    mix: ChannelMix | None

    def do(self, state: SlideState) -> None:
        """Show them so."""
        state.show_channels(self.mix)

    def as_json(self) -> dict[str, Any]:
        """The mix."""
        return {"mix": mix_to_json(self.mix)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        return cls(mix_from_json(line["mix"]))


@dataclass(frozen=True, slots=True, eq=False)
class BeginAutomatic(Setting):
    """An automatic run has begun."""

    name: ClassVar[str] = "automatic begun"
    title: ClassVar[str] = "automatic run"
    request: AutomaticRequest

    def settle(self, state: SlideState) -> None:
        """Note it, so that it can be gone on with."""
        state.unfinished = self.request

    def as_json(self) -> dict[str, Any]:
        """What was asked for."""
        return self.request.as_json()

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        number_of(line["object_size"], 1e-6, LARGEST_FIELD, "the size of objects")
        flag_of(line["tissue_only"])
        try:
            return cls(AutomaticRequest.from_json(line))
        except Exception as error:  # shapely raises many kinds on malformed geometries
            raise ValueError("the region cannot be read") from error


class EndAutomatic(Setting):
    """The automatic run has ended, or was given up."""

    name = title = "automatic ended"

    def settle(self, state: SlideState) -> None:
        """Note it."""
        state.unfinished = None


@dataclass(frozen=True, slots=True, eq=False)
class AsRecorded(Edit):
    """An action of which a journal of version 0.1.0 says only what came out; it is taken over as it is."""

    name: ClassVar[str] = "as recorded"
    title: ClassVar[str] = "change"


def slide_action(name: str, line: Line) -> type[Action] | None:
    """The action of a journal's line; None when there is none of that name."""
    if name == "automatic" and "region" in line:
        # Version 0.1.0 had one name for a run's beginning and for what it found.
        return BeginAutomatic
    if name in ("prompt", "refine") and "object" not in line:
        return AsRecorded
    return _ACTIONS.get(name, AsRecorded if "changes" in line else None)


_ACTIONS: Final[Mapping[str, type[Action]]] = {
    action.name: action
    for action in (
        AddPrompt,
        Refine,
        Draw,
        EditOutline,
        TakeObjects,
        TakeFound,
        ChangeObject,
        RemoveObject,
        SetClasses,
        Recolour,
        ListClasses,
        SetMpp,
        UseOverlap,
        ShowChannels,
        UseModel,
        BeginAutomatic,
        EndAutomatic,
        Undo,
        Redo,
        Resumed,
    )
}


def _recorded(line: Line, object_id: Any) -> SlideObject:
    """The outline of a line's object; of the first changed one in a journal of version 0.1.0."""
    for written in list_of(line["changes"]):
        if written["field"] == "object" and "value" in written and object_id in (None, written["object"]):
            return outline_from_json(written["value"], id_of(written["object"]))
    raise ValueError("its object is missing")


def _geometry_to_json(geometry: Any) -> str:
    import shapely

    return str(shapely.to_wkb(geometry, hex=True))


def _geometry_from_json(written: Any) -> Any:
    import shapely

    try:
        return shapely.from_wkb(written)
    except Exception as error:  # shapely raises many kinds on malformed geometries
        raise ValueError("the drawn outline cannot be read") from error


def _classes(line: Line) -> tuple[ObjectClass, ...]:
    read = (class_from_json(entry) for entry in list_of(line["classes"]))
    return tuple(entry for entry in read if entry is not None)


def _recolour(state: SlideState, step: Step) -> None:
    by_name = {c.name: c for c in state.classes}
    for record in state.store.objects.values():
        current = by_name.get(record.outline.class_name)
        if current not in (None, record.outline.object_class):
            state.store.set(step, record, "outline", replace(record.outline, object_class=current))
