"""A session on a slide: objects, their prompts and answers, undo, and a file to go on from.

What a widget drives: it adds prompts, shows the polygons that come back, and saves. Answering takes time and
belongs in a worker thread; a session is driven from one thread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.errors import UserInputError
from napari_sam2.io.atomic import write_text
from napari_sam2.io.geojson import feature_of, object_of
from napari_sam2.io.payload import existing_file
from napari_sam2.slides.crop_engine import CropAnswer, CropEngine
from napari_sam2.slides.prompt_file import parse_slide_prompts
from napari_sam2.slides.prompts import ObjectRequest, SlideBox, SlidePoint, check_requests
from napari_sam2.slides.refine import refine
from napari_sam2.slides.regions import SCORE, ObjectClass, Regions, SlideObject, measured
from napari_sam2.slides.results import write_objects

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.slides.prompts import SlidePrompt
    from napari_sam2.slides.pyramid import Slide

__all__ = ["SlideSession"]

FILE_VERSION: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What led to an object's outline; gone when the outline is edited by hand."""

    prompts: tuple[SlidePrompt, ...]
    answer: CropAnswer | None


class SlideSession:
    """Prompts in, polygons out, for one slide and one model.

    Parameters
    ----------
    slide : Slide
        What is looked at.
    model : SegmentationModel
        Who answers.
    overlap : str
        See `napari_sam2.slides.regions.OVERLAP_RULES`.
    """

    def __init__(self, slide: Slide, model: SegmentationModel, *, overlap: str = "keep") -> None:
        self.slide = slide
        self.engine = CropEngine(slide, model)
        self.regions = Regions(overlap=overlap)
        # By position in the history of the regions, so that undo brings prompts back with their outlines.
        self._history: list[dict[str, _Work]] = [{}]

    @property
    def objects(self) -> tuple[SlideObject, ...]:
        """All objects, in the order of their creation."""
        return self.regions.objects

    def prompts_of(self, object_id: str) -> tuple[SlidePrompt, ...]:
        """The prompts of an object; none when it was drawn, imported or edited by hand."""
        work = self._now().get(object_id)
        return () if work is None else work.prompts

    def add_prompt(
        self, prompt: SlidePrompt, object_id: str | None = None, *, field: float | None = None, name: str = ""
    ) -> SlideObject:
        """Begin an object with a prompt, or correct one.

        Parameters
        ----------
        prompt : SlidePoint or SlideBox
            In level-0 pixels. A box starts an object's outline afresh.
        object_id : str, optional
            The object to correct; a new one by default.
        field : float, optional
            Level-0 pixels along the longer side of what is on the screen.
        name : str
            Of a new object.

        Raises
        ------
        PromptError
            If the prompt lies outside the slide, or a new object begins with an exclusion.
        UserInputError
            If there is no such object, it is locked, or nothing is there.
        """
        before = self._now().get(object_id or "", _Work((), None))
        known = None if object_id is None else self.regions[object_id]
        if known is not None and known.locked:
            raise UserInputError(f"Object {known.name or object_id} is locked; unlock it to change it.")
        starts_afresh = isinstance(prompt, SlideBox)
        prompts = (*(p for p in before.prompts if not (starts_afresh and isinstance(p, SlideBox))), prompt)
        check_requests([ObjectRequest(1, prompts)], self.slide.shape, self.slide.name)
        previous = None if starts_afresh else before.answer
        answer = self.engine.answer(prompts, previous=previous, field=field)
        if answer.bounds is None:
            raise UserInputError("Nothing was found there; draw a box around the object.")
        obj = known or SlideObject(answer.polygon(), name=name or f"object {len(self.regions) + 1}")
        return self._put(obj, answer, prompts)

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
        work = self._now().get(object_id)
        if work is None or work.answer is None:
            raise UserInputError("Only an outline that a prompt gave can be refined; add a click to it first.")
        finer = refine(self.engine, work.answer, should_stop)
        return self._put(self.regions[object_id], finer, work.prompts)

    def edit(self, object_id: str, geometry: Any) -> SlideObject:
        """Replace an outline by one drawn by hand; its prompts and score no longer hold."""
        old = self.regions[object_id]
        numbers = {name: value for name, value in old.measurements.items() if name != SCORE}
        work = self._without(object_id)
        edited = self.regions.put(measured(replace(old, geometry=geometry, measurements=numbers), self.slide.mpp))
        self._record(work)
        return edited

    def change(self, object_id: str, **fields: Any) -> SlideObject:
        """Change the name, class, colour or lock; see `Regions.change`."""
        work = self._now()
        changed = self.regions.change(object_id, **fields)
        self._record(work)
        return changed

    def set_class(self, object_id: str, name: str, colour: tuple[int, int, int] | None = None) -> SlideObject:
        """Say what an object is."""
        return self.change(object_id, object_class=ObjectClass(name, colour) if name else None)

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        work = self._without(object_id)
        self.regions.remove(object_id)
        self._record(work)

    def undo(self) -> bool:
        """Take the last change back, with its prompts; False when there is none."""
        return self.regions.undo()

    def redo(self) -> bool:
        """Do the last undone change again; False when there is none."""
        return self.regions.redo()

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the objects; the name decides the format, see `napari_sam2.slides.results.FORMATS`."""
        return write_objects(self.objects, path, self.slide, overwrite=overwrite)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write objects and prompts to a file that `load` goes on from."""
        entries = [
            {"object": feature_of(obj), "prompts": [_as_json(p) for p in self.prompts_of(obj.object_id)]}
            for obj in self.objects
        ]
        card, slide = self.engine.model.card, self.slide
        content = {
            "napari_sam2_slide_session": FILE_VERSION,
            "slide": {
                "name": slide.name,
                "shape": list(slide.shape),
                "mpp": None if slide.mpp is None else slide.mpp.mean,
            },
            "model": {"name": card.name, "revision": card.revision, "sha256": card.sha256},
            "overlap": self.regions.overlap,
            "objects": entries,
        }
        write_text(path, json.dumps(content, ensure_ascii=False), overwrite=True)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take objects and prompts from a file that `save` wrote; what is here is replaced, which cannot be undone.

        Raises
        ------
        UserInputError
            If the file is no session, or belongs to a slide of another name or size.
        """
        file = existing_file(path)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["napari_sam2_slide_session"] != FILE_VERSION:
                raise KeyError
            slide = content["slide"]
            found = [(object_of(entry["object"]), _prompts(entry["prompts"], file)) for entry in content["objects"]]
        except (ValueError, KeyError, TypeError) as error:
            raise UserInputError(f"{file.name} is not a session on a slide that this version can read.") from error
        if [slide["name"], slide["shape"]] != [self.slide.name, list(self.slide.shape)]:
            raise UserInputError(f"{file.name} belongs to {slide['name']}, not to {self.slide.name}; open that slide.")
        self.regions = Regions((obj for obj, _ in found), overlap=content["overlap"])
        self._history = [{obj.object_id: _Work(prompts, None) for obj, prompts in found if prompts}]

    def _put(self, obj: SlideObject, answer: CropAnswer, prompts: tuple[SlidePrompt, ...]) -> SlideObject:
        card = self.engine.model.card
        made = replace(
            obj,
            geometry=answer.polygon(),
            measurements={**obj.measurements, SCORE: answer.scores.predicted_iou},
            metadata={**obj.metadata, "model": card.name},
        )
        work = {**self._now(), obj.object_id: _Work(prompts, answer)}
        placed = self.regions.put(measured(made, self.slide.mpp))
        self._record(work)
        return placed

    def _now(self) -> dict[str, _Work]:
        return self._history[self.regions.position]

    def _without(self, object_id: str) -> dict[str, _Work]:
        return {known: work for known, work in self._now().items() if known != object_id}

    def _record(self, work: dict[str, _Work]) -> None:
        self._history[self.regions.position :] = [work]


def _as_json(prompt: SlidePrompt) -> dict[str, Any]:
    if isinstance(prompt, SlidePoint):
        return {"point": [prompt.row, prompt.col], "positive": prompt.positive}
    return {"box": [[prompt.row0, prompt.col0], [prompt.row1, prompt.col1]]}


def _prompts(entries: list[Any], file: Path) -> tuple[SlidePrompt, ...]:
    if not entries:
        return ()
    content = {"version": 1, "objects": [{"id": 1, "prompts": entries}]}
    return parse_slide_prompts(content, file.name)[0].prompts
