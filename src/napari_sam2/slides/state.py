"""What a slide's session works on: slide, model, objects, classes, history."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.core.actions import ActionState
from napari_sam2.errors import UserInputError
from napari_sam2.slides.answers.crop_engine import CropAnswer, CropEngine
from napari_sam2.slides.objects import SCORE, ObjectClass, Regions, SlideObject, SlideRecord, measured, without_scores
from napari_sam2.slides.snapshot import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_sam2.core.history import Step
    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.slides.automatic.run import AutomaticRequest
    from napari_sam2.slides.image.channels import ChannelMix
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import SlidePrompt

__all__ = ["SlideState"]

KEPT_ANSWERS: Final = 32
"""Answers of the model that are kept to be corrected; older outlines are corrected from the outline itself."""


class SlideState(ActionState[SlideRecord]):
    """What the verbs and actions of a session on a slide share.

    Scripts use `SlideSession`.

    Parameters
    ----------
    slide, model, overlap
        See `napari_sam2.slides.session.SlideSession`.
    """

    store: Regions

    def __init__(self, slide: Slide, model: AnyModel, overlap: str) -> None:
        super().__init__(Regions(overlap))
        self.slide = slide
        self.engine = CropEngine(slide, model)
        self.classes: tuple[ObjectClass, ...] = CLASSES
        self.unfinished: AutomaticRequest | None = None
        self.earlier_mix: ChannelMix | None = None
        """How channels were shown when the journal that was read back ended; None for colours."""
        self._answers: OrderedDict[int, tuple[Any, CropAnswer]] = OrderedDict()

    @property
    def model(self) -> AnyModel:
        """The network or method that answers."""
        return self.engine.model

    def use_model(self, model: AnyModel) -> None:
        """Let another model answer from now on; outlines stay."""
        self.engine = CropEngine(self.slide, model)
        self._answers.clear()

    def show_channels(self, mix: ChannelMix | None) -> None:
        """Let the model see intensities in another way."""
        self.slide.show_channels(mix)
        self.engine = CropEngine(self.slide, self.engine.model)

    def show_plane(self, plane: Mapping[str, int]) -> None:
        """Look at another plane of a stack.

        Raises
        ------
        UserInputError
            If there is no such plane, or an automatic run has begun on this one.
        """
        if self.unfinished is not None:
            raise UserInputError("An automatic run is not done on this plane; let it end, or stop it and undo it.")
        self.slide.show_plane(plane)
        self.engine = CropEngine(self.slide, self.engine.model)

    def refuse_other_plane(self, obj: SlideObject) -> None:
        """Refuse to answer for an object on another plane.

        Raises
        ------
        UserInputError
            Naming the plane.
        """
        if self.slide.planes and obj.plane != self.slide.z_and_t:
            z, t = obj.plane
            raise UserInputError(f"{obj.name or 'The object'} lies on plane z={z}, t={t}; go there to correct it.")

    def use_mpp(self, mpp: Mpp) -> None:
        """Measure every object with another size of a pixel.

        In the past as well.
        """
        self.slide.mpp = mpp
        measured_objects: dict[int, tuple[SlideObject, SlideObject]] = {}

        def remeasured(obj: SlideObject) -> SlideObject:
            # The old object is kept with the new one, so that its identity is not given to another.
            return measured_objects.setdefault(id(obj), (obj, measured(obj, mpp)))[1]

        records = {id(record): record for record in self.store.objects.values()}
        for step in (*self.history.done, *self.history.undone):
            for change in step:
                for value in (change.before, change.after):
                    if isinstance(value, SlideRecord):
                        records[id(value)] = value
        for record in records.values():
            record.outline = remeasured(record.outline)
        self.history.replace_values("outline", remeasured)

    def list_classes(self, classes: Iterable[ObjectClass | None]) -> tuple[ObjectClass, ...]:
        """The list of classes with those that it lacks."""
        names = {c.name for c in self.classes}
        fresh = {c.name: c for c in classes if c is not None and c.name not in names}
        return (*self.classes, *fresh.values())

    def put_answer(
        self, step: Step, obj: SlideObject, answer: CropAnswer, prompts: tuple[SlidePrompt, ...]
    ) -> SlideObject:
        """Give an object the outline of an answer."""
        iou = answer.scores.predicted_iou
        outline = replace(
            obj,
            geometry=answer.polygon(),
            measurements=obj.measurements if math.isnan(iou) else {**without_scores(obj.measurements), SCORE: iou},
            metadata={**obj.metadata, "model": self.engine.model.card.name},
        )
        placed = self.store.place(step, measured(outline, self.slide.mpp), prompts)
        self._answers[id(placed.geometry)] = (placed.geometry, answer)
        while len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return placed

    def answer_of(self, obj: SlideObject) -> CropAnswer | None:
        """The model's answer behind an outline, or one made from the outline.

        None when it is empty.
        """
        # The geometry is kept with its answer, so that its identity is not given to another one.
        kept = self._answers.get(id(obj.geometry))
        return self.engine.answer_from(obj.geometry) if kept is None else kept[1]
