"""Actions that bring outlines: drawn by hand, edited, taken over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import list_of
from napari_sam2.errors import UserInputError
from napari_sam2.slides.encoding import (
    id_of,
    outline_from_json,
)
from napari_sam2.slides.objects import SlideObject, measured, without_scores

if TYPE_CHECKING:
    from napari_sam2.core.history import Step
    from napari_sam2.slides.state import SlideState
from napari_sam2.slides.actions.objects import recorded_outline

__all__ = ["Draw", "EditOutline", "TakeFound", "TakeObjects"]


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
        outline = self.outline if record is not None else self.outline.on_plane(state.slide.z_and_t)
        return state.store.place(step, measured(outline, state.slide.mpp), prompts)

    def as_json(self) -> dict[str, Any]:
        """Which object it is, and its outline.

        One of the changed objects; the outline is as it was before others cut it.
        """
        return {"object": self.outline.object_id, "drawn": _geometry_to_json(self.outline.geometry)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """From its change.

        The outline as it came to lie in a journal of version 0.1.0.
        """
        outline = recorded_outline(line, line.get("object"))
        return cls(replace(outline, geometry=_geometry_from_json(line["drawn"])) if "drawn" in line else outline)


@dataclass(frozen=True, slots=True, eq=False)
class EditOutline(Edit):
    """An outline is replaced by one drawn by hand.

    Its prompts and score no longer hold.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object",)
    name: ClassVar[str] = "edit"
    title: ClassVar[str] = "edit"
    object_id: str
    geometry: Any

    def do(self, state: SlideState, step: Step) -> SlideObject:
        """See `SlideSession.edit`."""
        old = state.store[self.object_id]
        kept = without_scores(old.measurements)
        edited = measured(replace(old, geometry=self.geometry, measurements=kept), state.slide.mpp)
        return state.store.place(step, edited)

    def as_json(self) -> dict[str, Any]:
        """Which object it is, and its outline.

        One of the changed objects; the outline is as it was before others cut it.
        """
        return {"object": self.object_id, "drawn": _geometry_to_json(self.geometry)}

    @classmethod
    def from_json(cls, line: Line, state: SlideState) -> Self:
        """From its change.

        The outline as it came to lie in a journal of version 0.1.0.
        """
        outline = recorded_outline(line, line.get("object"))
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


def _geometry_to_json(geometry: Any) -> str:
    import shapely

    return str(shapely.to_wkb(geometry, hex=True))


def _geometry_from_json(written: Any) -> Any:
    import shapely

    try:
        return shapely.from_wkb(written)
    except Exception as error:  # shapely raises many kinds on malformed geometries
        raise ValueError("the drawn outline cannot be read") from error
