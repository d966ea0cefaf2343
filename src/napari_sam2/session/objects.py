"""The objects of a volume's session.

What is kept of each, and what a script is handed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from napari_sam2.core.store import ObjectStore
from napari_sam2.session.snapshot import ObjectSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.core.history import Step
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.engine.engine import Anchor
    from napari_sam2.terms.terminology import Code

__all__ = ["ObjectRecord", "SegmentedObject", "SegmentedObjects", "VolumeObjects"]


@dataclass(eq=False)
class ObjectRecord:
    """What a session keeps of one object; changed through its store only.

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
    accepted : dict of int to bool
        Slices that a person has accepted.
    finished : bool
        Whether the whole object is finished.
    mix : Mix, optional
        How the channels become the image for the model; chosen with the first prompt where there are several.
    rank : int
        See `napari_sam2.core.store.Record`.
    """

    object_id: int
    name: str = ""
    prompts: list[Prompt] = field(default_factory=list)
    axis: int = 2
    results: dict[int, SliceResult] = field(default_factory=dict)
    anchors: dict[int, Anchor | None] = field(default_factory=dict)
    accepted: dict[int, bool] = field(default_factory=dict)
    finished: bool = False
    code: Code | None = None
    colour: tuple[int, int, int] | None = None
    mix: Mix | None = None
    rank: int = -1

    def is_fixed(self, index: int) -> bool:
        """Whether propagation must leave a slice alone."""
        return self.finished or index in self.anchors or index in self.accepted

    def snapshot(self) -> ObjectSnapshot:
        """The object as it is now, frozen."""
        return ObjectSnapshot(
            object_id=self.object_id,
            name=self.name,
            axis=self.axis,
            prompts=tuple(self.prompts),
            results=MappingProxyType(dict(self.results)),
            accepted=frozenset(self.accepted),
            finished=self.finished,
            code=self.code,
            colour=self.colour,
            mix=self.mix,
        )


class VolumeObjects(ObjectStore[ObjectRecord]):
    """Objects of a volume by id, in the order of their creation."""

    def clear(self, step: Step, obj: ObjectRecord) -> None:
        """Forget prompts, masks and acceptances of an object."""
        for name in ("results", "anchors", "accepted"):
            for index in list(getattr(obj, name)):
                self.drop(step, obj, name, index)
        self.set(step, obj, "prompts", [])

    def is_carried(self, obj: ObjectRecord, axis: int) -> bool:
        """Whether a run may go on with an object.

        Others can come into a run: the object is still there then, and lies across the same axis.
        """
        return self.objects.get(obj.object_id) is obj and obj.axis == axis

    def keep(self, step: Step, obj: ObjectRecord, result: SliceResult) -> bool:
        """Keep what a run has found on a slice.

        And say whether it was kept: not where the object is another one meanwhile, or a person has fixed the slice.
        """
        if not self.is_carried(obj, result.axis) or obj.is_fixed(result.index):
            return False
        self.put(step, obj, "results", result.index, result)
        return True

    def forget_answers(self) -> None:
        """Forget how a model saw prompted slices.

        Their masks stay and stand for them.
        """
        for obj in self.objects.values():
            obj.anchors = dict.fromkeys(obj.anchors)


class SegmentedObject:
    """One object of a session, as it is now.

    All but its name is changed through the session's verbs.

    Parameters
    ----------
    record : ObjectRecord
        What the session keeps.
    rename : callable
        Given the id and a name, renames the object as an action that undo takes back.
    """

    __slots__ = ("_record", "_rename")

    def __init__(self, record: ObjectRecord, rename: Callable[[int, str], None]) -> None:
        self._record = record
        self._rename = rename

    def __repr__(self) -> str:
        return f"SegmentedObject({self.object_id}, {self.name!r}, {len(self.prompts)} prompts)"

    @property
    def object_id(self) -> int:
        """Value in the label map."""
        return self._record.object_id

    @property
    def name(self) -> str:
        """For people; setting it is `Session.rename`."""
        return self._record.name

    @name.setter
    def name(self, name: str) -> None:
        self._rename(self.object_id, name)

    @property
    def code(self) -> Code | None:
        """What it is, for machines, where a person chose a term."""
        return self._record.code

    @property
    def colour(self) -> tuple[int, int, int] | None:
        """Red, green, blue, 0 to 255, where the term has one."""
        return self._record.colour

    @property
    def mix(self) -> Mix | None:
        """What the model sees of the channels; None for the reference."""
        return self._record.mix

    @property
    def axis(self) -> int:
        """Slice axis of its masks."""
        return self._record.axis

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """In the order in which they were given."""
        return tuple(self._record.prompts)

    @property
    def results(self) -> Mapping[int, SliceResult]:
        """Masks and scores by slice index."""
        return MappingProxyType(self._record.results)

    @property
    def anchors(self) -> Mapping[int, Anchor | None]:
        """Prompted and accepted slices, answered.

        None where the answer is to be made from the mask.
        """
        return MappingProxyType(self._record.anchors)

    @property
    def accepted(self) -> Mapping[int, bool]:
        """Slices that a person has accepted."""
        return MappingProxyType(self._record.accepted)

    @property
    def finished(self) -> bool:
        """Whether the whole object is finished."""
        return self._record.finished

    def is_fixed(self, index: int) -> bool:
        """Whether propagation must leave a slice alone."""
        return self._record.is_fixed(index)

    def snapshot(self) -> ObjectSnapshot:
        """The object as it is now, frozen."""
        return self._record.snapshot()


class SegmentedObjects(Mapping[int, SegmentedObject]):
    """All objects of a session by id.

    In the order of their creation; not to be changed.
    """

    def __init__(self, store: VolumeObjects, rename: Callable[[int, str], None]) -> None:
        self._store = store
        self._rename = rename

    def __getitem__(self, object_id: int) -> SegmentedObject:
        return SegmentedObject(self._store.objects[object_id], self._rename)

    def __iter__(self) -> Iterator[int]:
        return iter(self._store.objects)

    def __len__(self) -> int:
        return len(self._store.objects)
