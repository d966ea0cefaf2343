"""The objects of a session, and the one way of changing them: every change is noted in a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_sam2.core.history import MISSING, Change, Step
from napari_sam2.session.snapshot import ObjectSnapshot

if TYPE_CHECKING:
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.engine import Anchor
    from napari_sam2.terms.terminology import Code

__all__ = ["ObjectStore", "SegmentedObject"]


@dataclass(eq=False)
class SegmentedObject:
    """One object of a session.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    name : str
        For people.
    code : Code, optional
        What it is, for machines, where a person chose a term.
    colour : tuple of int, optional
        Red, green, blue, 0 to 255, where the term has one.
    prompts : list of Prompt
        In the order in which they were given.
    axis : int
        Slice axis of its masks.
    results : dict of int to SliceResult
        By slice index.
    anchors : dict of int to Anchor or None
        Prompted and accepted slices, answered; None where the answer is to be made from the mask.
    locked : dict of int to bool
        Slices that a person has accepted.
    protected : bool
        Whether the whole object is finished.
    """

    object_id: int
    name: str = ""
    prompts: list[Prompt] = field(default_factory=list)
    axis: int = 2
    results: dict[int, SliceResult] = field(default_factory=dict)
    anchors: dict[int, Anchor | None] = field(default_factory=dict)
    locked: dict[int, bool] = field(default_factory=dict)
    protected: bool = False
    code: Code | None = None
    colour: tuple[int, int, int] | None = None

    def is_fixed(self, index: int) -> bool:
        """Whether propagation must leave a slice alone."""
        return self.protected or index in self.anchors or index in self.locked

    def snapshot(self) -> ObjectSnapshot:
        """The object as it is now, frozen."""
        return ObjectSnapshot(
            object_id=self.object_id,
            name=self.name,
            axis=self.axis,
            prompts=tuple(self.prompts),
            results=MappingProxyType(dict(self.results)),
            locked=frozenset(self.locked),
            protected=self.protected,
            code=self.code,
            colour=self.colour,
        )


class ObjectStore:
    """Objects by id, in the order of their creation."""

    def __init__(self) -> None:
        self.objects: dict[int, SegmentedObject] = {}

    def add(self, step: Step, obj: SegmentedObject) -> SegmentedObject:
        """Take in a new object."""
        self.objects[obj.object_id] = obj
        step.note(Change(obj.object_id, "object", None, MISSING, obj))
        return obj

    def remove(self, step: Step, object_id: int) -> None:
        """Forget an object."""
        step.note(Change(object_id, "object", None, self.objects.pop(object_id), MISSING))

    def set(self, step: Step, obj: SegmentedObject, name: str, value: Any) -> None:
        """Replace an attribute."""
        step.note(Change(obj.object_id, name, None, getattr(obj, name), value))
        setattr(obj, name, value)

    def put(self, step: Step, obj: SegmentedObject, name: str, index: int, value: Any) -> None:
        """Replace what an object keeps for a slice."""
        kept = getattr(obj, name)
        step.note(Change(obj.object_id, name, index, kept.get(index, MISSING), value))
        kept[index] = value

    def drop(self, step: Step, obj: SegmentedObject, name: str, index: int) -> None:
        """Forget what an object keeps for a slice, if there is anything."""
        kept = getattr(obj, name)
        if index in kept:
            step.note(Change(obj.object_id, name, index, kept.pop(index), MISSING))

    def clear(self, step: Step, obj: SegmentedObject) -> None:
        """Forget prompts, masks and acceptances of an object."""
        for name in ("results", "anchors", "locked"):
            for index in list(getattr(obj, name)):
                self.drop(step, obj, name, index)
        self.set(step, obj, "prompts", [])

    def forget_answers(self) -> None:
        """Forget how a model saw prompted slices; their masks stay and stand for them."""
        for obj in self.objects.values():
            obj.anchors = dict.fromkeys(obj.anchors)

    def read(self, object_id: int, name: str, index: int | None) -> Any:
        """A value, or `MISSING`."""
        obj = self.objects.get(object_id)
        if name == "object":
            return MISSING if obj is None else obj
        if obj is None:
            return MISSING
        return getattr(obj, name) if index is None else getattr(obj, name).get(index, MISSING)

    def write(self, object_id: int, name: str, index: int | None, value: Any) -> None:
        """Put a value back as it was; `MISSING` takes it away."""
        if name == "object":
            if value is MISSING:
                self.objects.pop(object_id, None)
            else:
                self.objects[object_id] = value
            return
        obj = self.objects.get(object_id)
        if obj is None:
            return
        if index is None:
            setattr(obj, name, value)
        elif value is MISSING:
            getattr(obj, name).pop(index, None)
        else:
            getattr(obj, name)[index] = value
