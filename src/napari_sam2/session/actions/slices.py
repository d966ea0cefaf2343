"""Actions on one slice of an object: accepted, reopened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import whole_of
from napari_sam2.session.encoding import (
    LONGEST_AXIS,
    id_of,
)

if TYPE_CHECKING:
    from napari_sam2.core.history import Step
    from napari_sam2.session.state import SessionState

__all__ = ["AcceptSlice", "ReopenSlice"]


@dataclass(frozen=True, slots=True)
class _OfSlice(Edit):
    """An action on one slice of an object."""

    object_id: int
    index: int

    def as_json(self) -> dict[str, Any]:
        """Object and slice."""
        return {"object": self.object_id, "slice": self.index}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """As it was written; from its first change in a journal of version 0.1.0."""
        written = line if "object" in line else line["changes"][0]
        return cls(id_of(written["object"]), whole_of(written["slice"], 0, LONGEST_AXIS, "a slice"))


class AcceptSlice(_OfSlice):
    """A mask is accepted as it is."""

    name = title = "accepted slice"

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.accept_slice`."""
        obj = state.find(self.object_id)
        if self.index not in obj.accepted:
            state.store.put(step, obj, "accepted", self.index, True)
        if self.index in obj.results and obj.results[self.index].mask.n_voxels and self.index not in obj.anchors:
            state.store.put(step, obj, "anchors", self.index, None)


class ReopenSlice(_OfSlice):
    """The acceptance of a slice is taken back."""

    name = title = "reopened slice"

    def do(self, state: SessionState, step: Step) -> None:
        """See `Session.reopen_slice`."""
        obj = state.find(self.object_id)
        state.store.drop(step, obj, "accepted", self.index)
        if all(prompt.slice_index(obj.axis) != self.index for prompt in obj.prompts):
            state.store.drop(step, obj, "anchors", self.index)
