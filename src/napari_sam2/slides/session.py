"""A session on a slide: objects, their prompts and answers, and undo.

What a panel drives: it adds prompts, shows the polygons that come back, and saves. Answering takes time and
belongs in a worker thread; a session is driven from one thread, and what others may look at is its
`SlideSnapshot`. Every verb makes an action of `napari_sam2.slides.actions`, which history, journal and replay share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.core.actions import UseModel
from napari_sam2.models.base import described_model
from napari_sam2.slides.actions import (
    AddPrompt,
    BeginAutomatic,
    ChangeObject,
    ChooseMask,
    ClassifyObjects,
    Draw,
    EditOutline,
    EndAutomatic,
    FinishObjects,
    ListClasses,
    Refine,
    RemoveObject,
    RemoveObjects,
    SetClasses,
    SetMpp,
    ShowChannels,
    ShowPlane,
    TakeFound,
    TakeObjects,
    UseOverlap,
)
from napari_sam2.slides.formats.sidecar import slide_sidecar_text
from napari_sam2.slides.formats.write import write_objects
from napari_sam2.slides.objects import ObjectClass, SlideObject, check_overlap_rule, new_id
from napari_sam2.slides.snapshot import SlideSnapshot
from napari_sam2.slides.state import SlideState

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.slides.answers.crop_engine import CropEngine
    from napari_sam2.slides.automatic.run import AutomaticRequest
    from napari_sam2.slides.image.channels import ChannelMix
    from napari_sam2.slides.image.pyramid import Slide
    from napari_sam2.slides.prompts import SlidePoint, SlidePrompt

__all__ = ["SlideSession"]


class SlideSession:
    """Prompts in, polygons out, for one slide and one model.

    Parameters
    ----------
    slide : Slide
        What is looked at.
    model : AnyModel
        The network or method that answers.
    overlap : str
        See `napari_sam2.slides.objects.OVERLAP_RULES`.
    """

    def __init__(self, slide: Slide, model: AnyModel, *, overlap: str = "keep") -> None:
        self.state = SlideState(slide, model, overlap)
        """For the parts of this package that act on a session; scripts need the verbs below only."""

    @property
    def slide(self) -> Slide:
        """What is looked at."""
        return self.state.slide

    @property
    def engine(self) -> CropEngine:
        """Who looks at crops of it."""
        return self.state.engine

    @property
    def objects(self) -> tuple[SlideObject, ...]:
        """All objects, in the order of their creation."""
        return tuple([record.outline for record in self.state.store.objects.values()])

    @property
    def prompts(self) -> Mapping[str, tuple[SlidePrompt, ...]]:
        """The prompts of every object that has some."""
        return {i: record.prompts for i, record in self.state.store.objects.items() if record.prompts}

    @property
    def classes(self) -> tuple[ObjectClass, ...]:
        """Classes to choose from; see `set_classes`."""
        return self.state.classes

    @property
    def overlap(self) -> str:
        """What happens where objects overlap; see `set_overlap`."""
        return self.state.store.overlap

    @property
    def position(self) -> int:
        """How many steps can be undone."""
        return self.state.history.position

    @property
    def unfinished(self) -> AutomaticRequest | None:
        """The automatic run that was begun and has not ended."""
        return self.state.unfinished

    def find(self, object_id: str) -> SlideObject | None:
        """The object of an id; None when there is none."""
        return self.state.store.find(object_id)

    def prompts_of(self, object_id: str) -> tuple[SlidePrompt, ...]:
        """The prompts of an object.

        None when it was drawn, imported or edited by hand.
        """
        record = self.state.store.objects.get(object_id)
        return () if record is None else record.prompts

    def snapshot(self) -> SlideSnapshot:
        """The session as it is now."""
        return SlideSnapshot(
            self.objects,
            self.prompts,
            self.classes,
            self.slide.mpp,
            self.overlap,
            self.position,
            self.unfinished,
        )

    def use_model(self, model: AnyModel) -> None:
        """Let another model answer from now on."""
        if model is self.state.model:
            # The same one afresh: what it has looked at is forgotten.
            self.state.use_model(model)
        else:
            self.state.do(UseModel(described_model(model), model))

    def add_prompt(
        self,
        prompt: SlidePrompt,
        object_id: str | None = None,
        *,
        field: float | None = None,
        name: str = "",
        class_name: str = "",
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
        name, class_name : str
            Of a new object.

        Raises
        ------
        PromptError
            If the prompt lies outside the slide, or a new object begins with an exclusion.
        UserInputError
            If the object is finished, or nothing is there.
        """
        chosen = self.class_named(class_name)
        placed: SlideObject = self.state.do(AddPrompt(object_id or new_id(), prompt, field, name, chosen))
        self._list_classes([placed.object_class])
        return placed

    def choose_mask(self, object_id: str, number: int, *, field: float | None = None) -> tuple[SlideObject, int, int]:
        """Take another of the masks that an object's one click may mean.

        Parameters
        ----------
        object_id : str
            The object.
        number : int
            Which mask, from 0, the best first; behind the last comes the first again.
        field : float, optional
            As in `add_prompt`.

        Returns
        -------
        SlideObject, int, int
            The object, the mask's number, and how many there are.

        Raises
        ------
        UserInputError
            If the object has other prompts than one click, or the model has one mask only.
        """
        chosen: tuple[SlideObject, int, int] = self.state.do(ChooseMask(object_id, number, field))
        return chosen

    def preview(self, prompt: SlidePoint, field: float) -> Any:
        """The outline that a click would give, without keeping it.

        Empty when there is none.
        """
        return self.engine.answer([prompt], field=field).polygon()

    def refine(self, object_id: str, should_stop: Callable[[], bool] = lambda: False) -> SlideObject:
        """Look at an object's outline at twice the resolution.

        Raises
        ------
        UserInputError
            If the outline does not come from a prompt.
        """
        refined: SlideObject = self.state.do(Refine(object_id, should_stop))
        return refined

    def draw(self, geometry: Any, object_id: str | None = None, *, name: str = "", class_name: str = "") -> SlideObject:
        """Take an outline drawn by hand as a new object.

        Raises
        ------
        UserInputError
            If it has no area.
        """
        outline = SlideObject(
            geometry,
            object_id=object_id or new_id(),
            name=name or f"object {len(self.state.store) + 1}",
            object_class=self.class_named(class_name),
        )
        drawn: SlideObject = self.state.do(Draw(outline))
        self._list_classes([drawn.object_class])
        return drawn

    def edit(self, object_id: str, geometry: Any) -> SlideObject:
        """Replace an outline by one drawn by hand.

        Its prompts and score no longer hold.
        """
        edited: SlideObject = self.state.do(EditOutline(object_id, geometry))
        return edited

    def add_objects(self, objects: Iterable[SlideObject], label: str = "import") -> int:
        """Take over objects that were made elsewhere, as one step.

        One with a known id replaces that object.

        Raises
        ------
        UserInputError
            If one of them would replace a finished object.
        """
        fresh = tuple(objects)
        automatic = label == TakeFound.name
        count: int = self.state.do(TakeFound(fresh) if automatic else TakeObjects(fresh, label))
        self._list_classes(obj.object_class for obj in fresh)
        return count

    def change(self, object_id: str, **fields: Any) -> SlideObject:
        """Change the name, class, colour or state of an object; see `SlideObject`.

        Raises
        ------
        UserInputError
            If there is no such object, or it is finished and `fields` does not reopen it.
        """
        changed: SlideObject = self.state.do(ChangeObject(object_id, fields))
        return changed

    def finish_object(self, object_id: str) -> SlideObject:
        """Declare an object finished: it is neither changed nor cut by others."""
        return self.change(object_id, finished=True)

    def reopen_object(self, object_id: str) -> SlideObject:
        """Let a finished object be changed again."""
        return self.change(object_id, finished=False)

    def class_named(self, name: str, colour: tuple[int, int, int] | None = None) -> ObjectClass | None:
        """The class of a name.

        The listed one, or a new one; None for no name.
        """
        if not name:
            return None
        listed = next((c for c in self.classes if c.name == name), None)
        return listed if listed is not None and colour in (None, listed.colour) else ObjectClass(name, colour)

    def set_class(self, object_id: str, name: str, colour: tuple[int, int, int] | None = None) -> SlideObject:
        """Say what an object is.

        A class of the list, or a new one, which is then in the list.
        """
        changed = self.change(object_id, object_class=self.class_named(name, colour))
        self._list_classes([changed.object_class])
        return changed

    def classify(self, object_ids: Sequence[str], name: str) -> int:
        """Say what several objects are, as one step; how many were changed.

        With no object the class is only put on the list. Finished objects stay as they are.

        Raises
        ------
        UserInputError
            If all of them are finished.
        """
        chosen, count = self.class_named(name), 0
        if object_ids:
            count = self.state.do(ClassifyObjects(tuple(object_ids), chosen))
        self._list_classes([chosen])
        return count

    def finish_objects(self, object_ids: Sequence[str], finished: bool = True) -> int:
        """Declare several objects finished, or reopen them.

        As one step; how many were changed.
        """
        count: int = self.state.do(FinishObjects(tuple(object_ids), finished))
        return count

    def set_classes(self, classes: Sequence[ObjectClass]) -> None:
        """Replace the list of classes.

        Objects of a class whose colour has changed take the new one.
        """
        self.state.do(SetClasses(tuple(classes)))

    def set_mpp(self, mpp: Mpp) -> None:
        """Take what a person states as the size of a pixel.

        All objects are measured anew.
        """
        self.state.do(SetMpp(mpp))

    def show_channels(self, mix: ChannelMix | None) -> None:
        """Let the model see intensities in another way.

        From the next answer on.
        """
        mix = None if mix is None else mix.named_as(self.slide.mix)
        if mix != self.slide.mix:
            self.state.do(ShowChannels(mix))

    def show_plane(self, plane: Mapping[str, int]) -> None:
        """Look at another plane of a stack, for example ``{"Z": 3}``.

        Objects stay on theirs.

        Raises
        ------
        UserInputError
            If there is no such plane, or an automatic run has begun on this one.
        """
        if any(self.slide.plane.get(axis) != index for axis, index in plane.items()):
            self.state.do(ShowPlane(dict(plane)))

    def set_overlap(self, rule: str) -> None:
        """Choose what happens where objects overlap.

        From the next change on; see `OVERLAP_RULES`.

        Raises
        ------
        UserInputError
            If there is no such rule.
        """
        self.state.do(UseOverlap(check_overlap_rule(rule)))

    def remove(self, object_id: str) -> None:
        """Remove an object."""
        self.state.do(RemoveObject(object_id))

    def remove_objects(self, object_ids: Sequence[str]) -> int:
        """Remove several objects as one step; how many.

        Finished ones stay.

        Raises
        ------
        UserInputError
            If all of them are finished.
        """
        count: int = self.state.do(RemoveObjects(tuple(object_ids)))
        return count

    def undo(self) -> bool:
        """Take the last change back, with its prompts.

        False when there is none.
        """
        return bool(self.state.undo())

    def redo(self) -> bool:
        """Do the last undone change again; False when there is none."""
        return bool(self.state.redo())

    def begin_automatic(self, request: AutomaticRequest) -> None:
        """Note that an automatic run has begun.

        So that it can be gone on with.
        """
        self.state.do(BeginAutomatic(request))

    def end_automatic(self) -> None:
        """Note that the automatic run has ended, or was given up."""
        self.state.do(EndAutomatic())

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write the objects and, beside them, how they were made.

        Returns how many there are.

        The name decides the format, see `napari_sam2.slides.formats.write.FORMATS`.
        """
        facts = slide_sidecar_text(path, self.slide, self.state.model, self.prompts, {"overlap": self.overlap})
        return write_objects(self.objects, path, self.slide, facts, overwrite=overwrite)

    def _list_classes(self, classes: Iterable[ObjectClass | None]) -> None:
        longer = self.state.list_classes(classes)
        if longer != self.classes:
            self.state.do(ListClasses(longer))
