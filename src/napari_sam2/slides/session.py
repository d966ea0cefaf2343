"""A session on a slide: objects, their prompts and answers, and undo.

What a panel drives: it adds prompts, shows the polygons that come back, and saves. Answering takes time and
belongs in a worker thread; a session is driven from one thread, and what others may look at is its
`SlideSnapshot`. `napari_sam2.record.slide_journal` writes every step down.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError
from napari_sam2.slides.answers.crop_engine import CropAnswer, CropEngine
from napari_sam2.slides.answers.refine import refine
from napari_sam2.slides.formats.write import write_objects
from napari_sam2.slides.objects import SCORE, ObjectClass, Regions, SlideObject, measured
from napari_sam2.slides.prompts import ObjectRequest, SlideBox, SlidePoint, check_requests
from napari_sam2.slides.snapshot import CLASSES, SlideSnapshot

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.slides.automatic.run import AutomaticRequest
    from napari_sam2.slides.image.channels import ChannelMix
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["SlideSession"]

KEPT_ANSWERS: Final = 32
"""Answers of the model that are kept to be corrected; older outlines are corrected from the outline itself."""

Prompts = MappingProxyType[str, "tuple[SlidePrompt, ...]"]


class SlideSession:
    """Prompts in, polygons out, for one slide and one model.

    Parameters
    ----------
    slide : Slide
        What is looked at.
    model : SegmentationModel
        Who answers.
    overlap : str
        See `napari_sam2.slides.objects.OVERLAP_RULES`.
    """

    def __init__(self, slide: Slide, model: SegmentationModel, *, overlap: str = "keep") -> None:
        self.slide = slide
        self.engine = CropEngine(slide, model)
        self.regions = Regions(overlap=overlap)
        self.classes: tuple[ObjectClass, ...] = CLASSES
        self.unfinished: AutomaticRequest | None = None
        """The automatic run that was begun and has not ended."""
        self.on_step: list[Callable[[str], None]] = []
        """Called after a step that can be undone, with what it was."""
        self.on_event: list[Callable[..., None]] = []
        """Called with a name and plain values at what is no such step: undo, redo, settings."""
        # By position in the history of the regions, so that undo brings prompts back with their outlines.
        self._history: list[Prompts] = [MappingProxyType({})]
        self._answers: OrderedDict[int, tuple[Any, CropAnswer]] = OrderedDict()

    @property
    def objects(self) -> tuple[SlideObject, ...]:
        """All objects, in the order of their creation."""
        return self.regions.objects

    @property
    def prompts(self) -> Prompts:
        """The prompts of every object that has some."""
        return self._history[self.regions.position]

    def prompts_of(self, object_id: str) -> tuple[SlidePrompt, ...]:
        """The prompts of an object; none when it was drawn, imported or edited by hand."""
        return self.prompts.get(object_id, ())

    def snapshot(self) -> SlideSnapshot:
        """The session as it is now."""
        regions = self.regions
        return SlideSnapshot(
            regions.objects,
            self.prompts,
            self.classes,
            self.slide.mpp,
            regions.overlap,
            regions.position,
            self.unfinished,
        )

    def use_model(self, model: SegmentationModel) -> None:
        """Let another model answer from now on."""
        self.engine = CropEngine(self.slide, model)
        self._answers.clear()

    def add_prompt(
        self, prompt: SlidePrompt, object_id: str | None = None, *, field: float | None = None, name: str = ""
    ) -> SlideObject:
        """Begin an object with a prompt, or correct one.

        Parameters
        ----------
        prompt : SlidePoint or SlideBox
            In level-0 pixels. A box starts an object's outline afresh.
        object_id : str, optional
            The object to correct, or the id (a UUID) of the new one; a new one by default.
        field : float, optional
            Level-0 pixels along the shorter side of what is on the screen.
        name : str
            Of a new object.

        Raises
        ------
        PromptError
            If the prompt lies outside the slide, or a new object begins with an exclusion.
        UserInputError
            If the object is locked, or nothing is there.
        """
        known = None if object_id is None else self.regions.find(object_id)
        if known is not None and known.locked:
            raise UserInputError(f"Object {known.name or object_id} is locked; unlock it to change it.")
        starts_afresh = isinstance(prompt, SlideBox)
        before = self.prompts_of(object_id or "")
        if known is not None and not before and not starts_afresh and not known.geometry.is_empty:
            # An outline that no prompt gave: a place inside it says what is meant.
            inside = known.geometry.representative_point()
            before = (SlidePoint(inside.y - 0.5, inside.x - 0.5),)
        prompts = (*(p for p in before if not (starts_afresh and isinstance(p, SlideBox))), prompt)
        check_requests([ObjectRequest(1, prompts)], self.slide.shape, self.slide.name)
        previous = None if starts_afresh or known is None else self._answer_of(known)
        answer = self.engine.answer(prompts, previous=previous, field=field)
        if answer.bounds is None:
            raise UserInputError("Nothing was found there; draw a box around the object.")
        if known is not None:
            return self._put(known, answer, prompts, "prompt")
        fresh = SlideObject(answer.polygon(), name=name or f"object {len(self.regions) + 1}")
        return self._put(fresh if object_id is None else replace(fresh, object_id=object_id), answer, prompts, "prompt")

    def preview(self, prompt: SlidePoint, field: float) -> Any:
        """The outline that a click would give, without keeping it; empty when there is none."""
        return self.engine.answer([prompt], field=field).polygon()

    def refine(self, object_id: str, should_stop: Callable[[], bool] = lambda: False) -> SlideObject:
        """Look at an object's outline at twice the resolution.

        Raises
        ------
        UserInputError
            If the outline does not come from a prompt.
        """
        known, prompts = self.regions[object_id], self.prompts_of(object_id)
        answer = self._answer_of(known) if prompts else None
        if answer is None:
            raise UserInputError("Only an outline that a prompt gave can be refined; add a click to it first.")
        return self._put(known, refine(self.engine, answer, should_stop), prompts, "refine")

    def draw(self, geometry: Any, object_id: str | None = None, *, name: str = "") -> SlideObject:
        """Take an outline drawn by hand as a new object.

        Raises
        ------
        UserInputError
            If it has no area.
        """
        if geometry.area == 0:
            raise UserInputError("The drawn outline has no area; draw around something.")
        fresh = SlideObject(geometry, name=name or f"object {len(self.regions) + 1}")
        made = fresh if object_id is None else replace(fresh, object_id=object_id)
        prompts = self.prompts
        placed = self.regions.put(measured(made, self.slide.mpp))
        self._record("draw", prompts)
        return placed

    def edit(self, object_id: str, geometry: Any) -> SlideObject:
        """Replace an outline by one drawn by hand; its prompts and score no longer hold."""
        old = self.regions[object_id]
        numbers = {name: value for name, value in old.measurements.items() if name != SCORE}
        prompts = self._without(object_id)
        edited = self.regions.put(measured(replace(old, geometry=geometry, measurements=numbers), self.slide.mpp))
        self._record("edit", prompts)
        return edited

    def add_objects(self, objects: Iterable[SlideObject], label: str = "import") -> int:
        """Take over objects that were made elsewhere, as one step; one with a known id replaces that object.

        Raises
        ------
        UserInputError
            If one of them would replace a locked object.
        """
        fresh = [measured(obj, self.slide.mpp) for obj in objects]
        prompts = self.prompts
        self.regions.put_all(fresh)
        self._record(label, {i: given for i, given in prompts.items() if i not in {o.object_id for o in fresh}})
        self._list_classes(obj.object_class for obj in fresh)
        return len(fresh)

    def change(self, object_id: str, **fields: Any) -> SlideObject:
        """Change the name, class, colour or lock; see `Regions.change`."""
        prompts = self.prompts
        changed = self.regions.change(object_id, **fields)
        self._record("change", prompts)
        return changed

    def set_class(self, object_id: str, name: str, colour: tuple[int, int, int] | None = None) -> SlideObject:
        """Say what an object is: a class of the list, or a new one, which is then in the list."""
        listed = next((c for c in self.classes if c.name == name), None)
        chosen = listed if listed is not None and colour in (None, listed.colour) else ObjectClass(name, colour)
        changed = self.change(object_id, object_class=chosen if name else None)
        self._list_classes([changed.object_class])
        return changed

    def set_classes(self, classes: Sequence[ObjectClass]) -> None:
        """Replace the list of classes; objects of a class whose colour has changed take the new one."""
        self.classes = tuple(classes)
        self._tell("classes", classes=[[c.name, c.colour] for c in self.classes])
        by_name = {c.name: c for c in self.classes}
        renewed = [_of_class(obj, by_name.get(obj.class_name)) for obj in self.objects]
        if any(new is not old for new, old in zip(renewed, self.objects, strict=True)):
            prompts = self.prompts
            self.regions.set_all(renewed)
            self._record("class colours", prompts)

    def set_mpp(self, mpp: Mpp) -> None:
        """Take what a person states as the size of a pixel, and measure all objects anew."""
        self.slide.mpp = mpp
        self.regions.remeasure(lambda obj: measured(obj, mpp))
        self._tell("mpp", row=mpp.row, col=mpp.col, origin=mpp.origin)

    def show_channels(self, mix: ChannelMix | None) -> None:
        """Let the model see intensities in another way, from the next answer on."""
        if mix != self.slide.mix:
            self.slide.show_channels(mix)
            self.engine = CropEngine(self.slide, self.engine.model)

    def set_overlap(self, rule: str) -> None:
        """Choose what happens where objects overlap, from the next change on; see `OVERLAP_RULES`."""
        self.regions.overlap = rule
        self._tell("overlap", rule=rule)

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        prompts = self._without(object_id)
        self.regions.remove(object_id)
        self._record("remove", prompts)

    def undo(self) -> bool:
        """Take the last change back, with its prompts; False when there is none."""
        if not self.regions.undo():
            return False
        self._tell("undo")
        return True

    def redo(self) -> bool:
        """Do the last undone change again; False when there is none."""
        if not self.regions.redo():
            return False
        self._tell("redo")
        return True

    def begin_automatic(self, request: AutomaticRequest) -> None:
        """Note that an automatic run has begun, so that it can be gone on with."""
        self.unfinished = request
        self._tell("automatic", **request.as_json())

    def end_automatic(self) -> None:
        """Note that the automatic run has ended, or was given up."""
        self.unfinished = None
        self._tell("automatic ended")

    def take_step(self, objects: Iterable[SlideObject], prompts: Mapping[str, tuple[SlidePrompt, ...]]) -> None:
        """Make a step whose outcome is known, as a journal holds it; nobody is told."""
        self.regions.set_all(objects)
        self._history[self.regions.position :] = [MappingProxyType(dict(prompts))]

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the objects; the name decides the format, see `napari_sam2.slides.formats.write.FORMATS`."""
        return write_objects(self.objects, path, self.slide, overwrite=overwrite)

    def _put(self, obj: SlideObject, answer: CropAnswer, prompts: tuple[SlidePrompt, ...], label: str) -> SlideObject:
        card = self.engine.model.card
        iou = answer.scores.predicted_iou
        made = replace(
            obj,
            geometry=answer.polygon(),
            measurements=obj.measurements if math.isnan(iou) else {**obj.measurements, SCORE: iou},
            metadata={**obj.metadata, "model": card.name},
        )
        given = {**self.prompts, obj.object_id: prompts}
        placed = self.regions.put(measured(made, self.slide.mpp))
        self._answers[id(placed.geometry)] = (placed.geometry, answer)
        while len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        self._record(label, given)
        return placed

    def _answer_of(self, obj: SlideObject) -> CropAnswer | None:
        """The model's answer behind an outline, or one made from the outline; None when it is empty."""
        # The geometry is kept with its answer, so that its identity is not given to another one.
        kept = self._answers.get(id(obj.geometry))
        return self.engine.answer_from(obj.geometry) if kept is None else kept[1]

    def _without(self, object_id: str) -> dict[str, tuple[SlidePrompt, ...]]:
        return {known: given for known, given in self.prompts.items() if known != object_id}

    def _list_classes(self, classes: Iterable[ObjectClass | None]) -> None:
        names = {c.name for c in self.classes}
        fresh = {c.name: c for c in classes if c is not None and c.name not in names}
        if fresh:
            self.classes = (*self.classes, *fresh.values())
            self._tell("classes", classes=[[c.name, c.colour] for c in self.classes])

    def _record(self, label: str, prompts: Mapping[str, tuple[SlidePrompt, ...]]) -> None:
        self._history[self.regions.position :] = [MappingProxyType(dict(prompts))]
        for listener in self.on_step:
            listener(label)

    def _tell(self, event: str, **details: Any) -> None:
        for listener in self.on_event:
            listener(event, **details)


def _of_class(obj: SlideObject, object_class: ObjectClass | None) -> SlideObject:
    """The object with a class as it is now; the very same where nothing changes."""
    return obj if object_class in (None, obj.object_class) else replace(obj, object_class=object_class)
