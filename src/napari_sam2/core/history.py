"""The history of actions: what each one changed.

So it can be taken back and done again.

A `Step` keeps, for every value it replaced, the value before and after. Masks are frozen and shared, so
a step costs what it changed, never a copy of the volume.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam2.core.actions import Action

__all__ = ["MISSING", "Change", "History", "ObjectId", "Part", "Step"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""The value of what is not there."""

LONGEST: Final = 1000
"""Steps kept; a day's work is some hundreds."""

FRESH: Final = 32
"""Last steps that keep a model's own answers; older ones keep masks, which answers can be made from."""

ObjectId = int | str


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One value that an action replaced.

    Attributes
    ----------
    object_id : int or str
        Whose value.
    field : str
        ``"object"`` for the whole object, else the name of an attribute of its record.
    index : int, optional
        The slice, for the fields that are kept by slice.
    before, after : Any
        The value, or `MISSING`.
    """

    object_id: ObjectId
    field: str
    index: int | None
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a run a step is.

    For runs that other actions came into.

    Attributes
    ----------
    run : int
        Number of the run; none that goes on has it as well.
    paused : int, optional
        After how many results the other action came; None for the last part.
    """

    run: int
    paused: int | None = None


@dataclass(eq=False)
class Step:
    """One action of a person and everything it changed.

    Attributes
    ----------
    action : Action
        What was done.
    part : Part, optional
        Where it is not the whole of a run.
    """

    action: Action
    part: Part | None = None
    _changes: dict[tuple[ObjectId, str, int | None], Change] = field(default_factory=dict)

    def note(self, change: Change) -> None:
        """Add a change.

        A value changed twice keeps what it was at first.
        """
        key = (change.object_id, change.field, change.index)
        earlier = self._changes.get(key)
        before = change.before if earlier is None else earlier.before
        self._changes[key] = Change(*key, before, change.after)

    def join(self, later: Step) -> None:
        """Take over what a later step changed."""
        for change in later:
            self.note(change)

    def leave(self, change: Change, others: Iterable[Step]) -> None:
        """Leave one of its changes to those who changed the same again."""
        key = (change.object_id, change.field, change.index)
        del self._changes[key]
        for other in others:
            again = other._changes.get(key)
            if again is not None and again.before is change.after:
                other._changes[key] = replace(again, before=change.before)

    def moved_to(self, whole: Step, part: Part) -> Step:
        """Give what was changed since the last time to `whole`.

        The same comes back as a step of its own.
        """
        moved = Step(self.action, part, self._changes)
        self._changes = {}
        whole.join(moved)
        return moved

    def replace_values(self, field: str, replaced: Callable[[Any], Any]) -> None:
        """Put other values in the place of those of a field.

        `MISSING` stays.
        """
        for key, change in self._changes.items():
            if change.field == field:
                before, after = (v if v is MISSING else replaced(v) for v in (change.before, change.after))
                self._changes[key] = Change(*key, before, after)

    @property
    def objects(self) -> set[ObjectId]:
        """Whose values were changed."""
        return {object_id for object_id, _, _ in self._changes}

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes.values())

    def __len__(self) -> int:
        return len(self._changes)


class History:
    """Steps to undo, and undone steps to do again.

    Parameters
    ----------
    read, write : callable
        Access to a value: ``read(object_id, field, index)`` and ``write(object_id, field, index, value)``.
    fading : tuple of str
        Fields whose values are large and can be made again: None takes their place in all but the last
        `FRESH` steps.
    """

    def __init__(
        self,
        read: Callable[[ObjectId, str, int | None], Any],
        write: Callable[[ObjectId, str, int | None, Any], None],
        fading: tuple[str, ...] = (),
    ) -> None:
        self._read = read
        self._write = write
        self._fading = fading
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def add(self, step: Step) -> None:
        """Put a finished step on top.

        What was undone before cannot come back.

        A step whose action `joins` an earlier one becomes part of that step: one undo takes back both. Between the
        two may lie steps of other objects, which stay what they are.
        """
        joined = self._joined_by(step)
        if joined is not None:
            joined.join(step)
        else:
            self._done.append(step)
            if len(self._done) > FRESH:
                for name in self._fading:
                    self._done[-FRESH - 1].replace_values(name, lambda _: None)
        self._undone.clear()
        del self._done[:-LONGEST]

    def _joined_by(self, step: Step) -> Step | None:
        for earlier in reversed(self._done[-FRESH:]):
            if step.action.joins(earlier.action):
                return earlier
            if not step.objects.isdisjoint(earlier.objects):
                return None
        return None

    @property
    def done(self) -> tuple[Step, ...]:
        """Steps that can be undone, the last one last."""
        return tuple(self._done)

    @property
    def undone(self) -> tuple[Step, ...]:
        """Steps that can be done again, the next one last."""
        return tuple(self._undone)

    @property
    def position(self) -> int:
        """How many steps can be undone."""
        return len(self._done)

    def fill(self, done: Iterable[Step], undone: Iterable[Step]) -> None:
        """Replace everything by what a snapshot holds."""
        self._done, self._undone = list(done), list(undone)

    def replace_values(self, field: str, replaced: Callable[[Any], Any]) -> None:
        """Put other values in the place of a field's past ones."""
        for step in (*self._done, *self._undone):
            step.replace_values(field, replaced)

    @property
    def next_undo(self) -> str:
        """What an undo takes back; empty when there is nothing."""
        return self._done[-1].action.said if self._done else ""

    @property
    def next_redo(self) -> str:
        """What a redo does again; empty when there is nothing."""
        return self._undone[-1].action.said if self._undone else ""

    def undo(self, running: Iterable[Step] = ()) -> Step | None:
        """Take back the last step.

        What was changed again while a run went on stays, and belongs from then on to the one who changed it: an undo of
        that gives back what was before both.

        Parameters
        ----------
        running : iterable of Step
            What runs that go on have changed so far.
        """
        if not self._done:
            return None
        step = self._done.pop()
        others = (*self._done, *running)
        for change in reversed(list(step)):
            current = self._read(change.object_id, change.field, change.index)
            if change.field != "results" or current is change.after:
                self._write(change.object_id, change.field, change.index, change.before)
            else:
                step.leave(change, others)
        self._undone.append(step)
        return step

    def redo(self) -> Step | None:
        """Do the last undone step again."""
        if not self._undone:
            return None
        step = self._undone.pop()
        for change in step:
            self._write(change.object_id, change.field, change.index, change.after)
        self._done.append(step)
        return step
