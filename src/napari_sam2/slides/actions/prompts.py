"""Actions that the model answers: a prompt is added, an outline refined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import number_of, text_of, whole_of
from napari_sam2.errors import UserInputError
from napari_sam2.slides.answers.refine import refine
from napari_sam2.slides.encoding import (
    LARGEST,
    class_from_json,
    class_to_json,
    id_of,
    prompt_from_json,
    prompt_to_json,
)
from napari_sam2.slides.objects import SlideObject
from napari_sam2.slides.prompts import ObjectRequest, SlideBox, SlidePoint, check_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.core.history import Step
    from napari_sam2.slides.objects import ObjectClass
    from napari_sam2.slides.prompts import SlidePrompt
    from napari_sam2.slides.state import SlideState
from napari_sam2.slides.actions.objects import OfObject

__all__ = ["AddPrompt", "ChooseMask", "Refine"]


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
    object_class : ObjectClass, optional
        Of a new object.
    """

    name: ClassVar[str] = "prompt"
    title: ClassVar[str] = "prompt"
    object_id: str
    prompt: SlidePrompt
    field: float | None = None
    called: str = ""
    object_class: ObjectClass | None = None

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.add_prompt`."""
        record = state.store.objects.get(self.object_id)
        outline = None if record is None else record.outline
        if outline is not None:
            state.store.refuse_finished(self.object_id)
            state.refuse_other_plane(outline)
        starts_afresh = isinstance(self.prompt, SlideBox)
        before = () if record is None else record.prompts
        if outline is not None and not before and not starts_afresh and not outline.geometry.is_empty:
            # An outline that no prompt gave: a place inside it says what is meant.
            inside = outline.geometry.representative_point()
            before = (SlidePoint(inside.y - 0.5, inside.x - 0.5),)
        prompts = (*(p for p in before if not (starts_afresh and isinstance(p, SlideBox))), self.prompt)
        check_requests([ObjectRequest(1, prompts)], state.slide.shape, state.slide.name)
        previous = None if starts_afresh or outline is None else state.answer_of(outline)
        answer = state.engine.answer(prompts, previous=previous, field=self.field)
        if answer.bounds is None:
            raise UserInputError("Nothing was found there; draw a box around the object.")
        if outline is None:
            name = self.called or f"object {len(state.store) + 1}"
            outline = SlideObject(answer.polygon(), object_id=self.object_id, name=name, object_class=self.object_class)
            outline = outline.on_plane(state.slide.z_and_t)
        return state.put_answer(step, outline, answer, prompts)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        written: dict[str, Any] = {"object": self.object_id, "add": prompt_to_json(self.prompt), "field": self.field}
        if self.object_class is not None:
            written["class"] = class_to_json(self.object_class)
        return {**written, "name": self.called} if self.called else written

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        view = None if line["field"] is None else number_of(line["field"], 0.0, LARGEST, "a field")
        chosen = class_from_json(line.get("class"))
        return cls(id_of(line["object"]), prompt_from_json(line["add"]), view, text_of(line.get("name", "")), chosen)


@dataclass(frozen=True, slots=True)
class Refine(OfObject):
    """An object's outline is looked at with twice the resolution."""

    name: ClassVar[str] = "refine"
    title: ClassVar[str] = "refine"
    should_stop: Callable[[], bool] = field(default=lambda: False, compare=False)

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.refine`."""
        record = state.store.record(self.object_id)
        state.refuse_other_plane(record.outline)
        answer = state.answer_of(record.outline) if record.prompts else None
        if answer is None:
            raise UserInputError("Only an outline that a prompt gave can be refined; add a click to it first.")
        return state.put_answer(step, record.outline, refine(state.engine, answer, self.should_stop), record.prompts)


@dataclass(frozen=True, slots=True)
class ChooseMask(OfObject):
    """Another of the masks that a click may mean is taken.

    Attributes
    ----------
    number : int
        Which of them, from 0, the best first; counted on from the first behind the last.
    field : float, optional
        Level-0 pixels along the shorter side of what is on the screen.
    """

    name: ClassVar[str] = "choose mask"
    title: ClassVar[str] = "other mask"
    number: int = 0
    field: float | None = None

    def do(self, state: SlideState, step: Step) -> tuple[SlideObject, int, int]:
        """See `SlideSession.choose_mask`."""
        state.store.refuse_finished(self.object_id)
        record = state.store.record(self.object_id)
        if len(record.prompts) != 1 or not isinstance(record.prompts[0], SlidePoint):
            raise UserInputError("Only an object of one click leaves a choice of masks; correct it with another click.")
        answers = state.engine.choices(record.prompts, field=self.field)
        if len(answers) < 2:
            raise UserInputError("The model has one mask for this click; correct it with another click.")
        number = self.number % len(answers)
        placed = state.put_answer(step, record.outline, answers[number], record.prompts)
        return placed, number, len(answers)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {"object": self.object_id, "number": self.number, "field": self.field}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """As it was written."""
        view = None if line["field"] is None else number_of(line["field"], 0.0, LARGEST, "a field")
        return cls(id_of(line["object"]), whole_of(line["number"], 0, 1000, "a mask"), view)
