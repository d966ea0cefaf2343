"""History: what each action changed, so that it can be taken back and done again.

A `Step` keeps, for every value it replaced, the value before and after. Masks are frozen and shared, so
a step costs what it changed, never a copy of the volume.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MISSING", "Change", "History", "Step"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""The value of what is not there."""

LONGEST: Final = 1000
"""Steps kept; a day's work is some hundreds."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One value that an action replaced.

    Attributes
    ----------
    object_id : int
        Whose value.
    field : str
        ``"object"``, ``"prompts"``, ``"axis"``, ``"name"``, ``"code"``, ``"colour"``, ``"protected"``,
        ``"results"``, ``"anchors"`` or ``"locked"``.
    index : int, optional
        The slice, for the fields that are kept by slice.
    before, after : Any
        The value, or `MISSING`.
    """

    object_id: int
    field: str
    index: int | None
    before: Any
    after: Any


@dataclass(eq=False)
class Step:
    """One action of a person and everything it changed.

    Attributes
    ----------
    label : str
        What it was, for menus and the journal.
    details : dict
        With which choices it was done, as plain values.
    """

    label: str
    details: dict[str, Any] = field(default_factory=dict)
    _changes: dict[tuple[int, str, int | None], Change] = field(default_factory=dict)

    def note(self, change: Change) -> None:
        """Add a change; a value changed twice keeps what it was at first."""
        key = (change.object_id, change.field, change.index)
        earlier = self._changes.get(key)
        before = change.before if earlier is None else earlier.before
        self._changes[key] = Change(*key, before, change.after)

    def join(self, later: Step) -> None:
        """Take over what a later step changed."""
        for change in later:
            self.note(change)

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes.values())

    def __len__(self) -> int:
        return len(self._changes)


class History:
    """Steps that can be undone, and undone steps that can be done again.

    Parameters
    ----------
    read, write : callable
        Access to a value: ``read(object_id, field, index)`` and ``write(object_id, field, index, value)``.
    """

    def __init__(
        self, read: Callable[[int, str, int | None], Any], write: Callable[[int, str, int | None, Any], None]
    ) -> None:
        self._read = read
        self._write = write
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def add(self, step: Step) -> None:
        """Put a finished step on top; what was undone before cannot come back.

        A step that says it is ``joined`` becomes part of the one before: one undo takes back both.
        """
        if step.details.get("joined") and self._done:
            self._done[-1].join(step)
        else:
            self._done.append(step)
        self._undone.clear()
        del self._done[:-LONGEST]

    @property
    def next_undo(self) -> str:
        """What an undo takes back; empty when there is nothing."""
        return self._done[-1].label if self._done else ""

    @property
    def next_redo(self) -> str:
        """What a redo does again; empty when there is nothing."""
        return self._undone[-1].label if self._undone else ""

    def undo(self) -> Step | None:
        """Take back the last step; what was changed again since by a running action stays."""
        if not self._done:
            return None
        step = self._done.pop()
        for change in reversed(list(step)):
            current = self._read(change.object_id, change.field, change.index)
            if change.field != "results" or current is change.after:
                self._write(change.object_id, change.field, change.index, change.before)
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
