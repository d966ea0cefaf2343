"""The objects of a session, and the one way of changing them.

Every change is noted in a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from napari_sam2.core.history import MISSING, Change

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam2.core.history import ObjectId, Step

__all__ = ["ObjectStore", "Record"]


class Record(Protocol):
    """What a session keeps of one object.

    Attributes
    ----------
    rank : int
        Its place in the order of creation, given by the store.
    """

    rank: int

    @property
    def object_id(self) -> Any:
        """Which object, a number or text."""
        ...


RecordT = TypeVar("RecordT", bound=Record)


class ObjectStore(Generic[RecordT]):
    """Objects by id, in the order of their creation.

    An undone removal puts an object back in its place.
    """

    def __init__(self) -> None:
        self.objects: dict[Any, RecordT] = {}
        self._next_rank = 0

    def add(self, step: Step, record: RecordT) -> RecordT:
        """Take in a new object."""
        record.rank = self._next_rank
        self._next_rank += 1
        self.objects[record.object_id] = record
        step.note(Change(record.object_id, "object", None, MISSING, record))
        return record

    def remove(self, step: Step, object_id: ObjectId) -> None:
        """Forget an object."""
        step.note(Change(object_id, "object", None, self.objects.pop(object_id), MISSING))

    def set(self, step: Step, record: RecordT, name: str, value: Any) -> None:
        """Replace an attribute."""
        step.note(Change(record.object_id, name, None, getattr(record, name), value))
        setattr(record, name, value)

    def put(self, step: Step, record: RecordT, name: str, index: int, value: Any) -> None:
        """Replace what an object keeps for a slice."""
        kept = getattr(record, name)
        step.note(Change(record.object_id, name, index, kept.get(index, MISSING), value))
        kept[index] = value

    def drop(self, step: Step, record: RecordT, name: str, index: int) -> None:
        """Forget what an object keeps for a slice, if there is anything."""
        kept = getattr(record, name)
        if index in kept:
            step.note(Change(record.object_id, name, index, kept.pop(index), MISSING))

    def fill(self, records: Iterable[RecordT], next_rank: int) -> None:
        """Replace everything by what a snapshot holds."""
        self.objects = {record.object_id: record for record in records}
        self._next_rank = next_rank

    @property
    def next_rank(self) -> int:
        """The rank of the next new object."""
        return self._next_rank

    def read(self, object_id: ObjectId, name: str, index: int | None) -> Any:
        """A value, or `MISSING`."""
        record = self.objects.get(object_id)
        if record is None:
            return MISSING
        if name == "object":
            return record
        return getattr(record, name) if index is None else getattr(record, name).get(index, MISSING)

    def write(self, object_id: ObjectId, name: str, index: int | None, value: Any) -> None:
        """Put a value back as it was; `MISSING` takes it away."""
        if name == "object":
            self._put_back(object_id, value)
            return
        record = self.objects.get(object_id)
        if record is None:
            return
        if index is None:
            setattr(record, name, value)
        elif value is MISSING:
            getattr(record, name).pop(index, None)
        else:
            getattr(record, name)[index] = value

    def _put_back(self, object_id: ObjectId, record: Any) -> None:
        if record is MISSING:
            self.objects.pop(object_id, None)
            return
        if record.rank < 0:
            record.rank = self._next_rank
            self._next_rank += 1
        last = next(reversed(self.objects.values()), None)
        self.objects[object_id] = record
        if last is not None and record.rank < last.rank:
            self.objects = dict(sorted(self.objects.items(), key=lambda entry: entry[1].rank))
