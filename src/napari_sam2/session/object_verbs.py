"""What a session can do with whole objects and slices.

No verb here asks the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.errors import UserInputError
from napari_sam2.session.actions import (
    AcceptSlice,
    AddObject,
    Describe,
    FinishObject,
    RemoveObject,
    ReopenSlice,
    TakeLabels,
)
from napari_sam2.session.actions.labels import taken_objects
from napari_sam2.session.objects import SegmentedObject, SegmentedObjects
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam2.session.state import SessionState


__all__ = ["ObjectVerbs"]


class ObjectVerbs:
    """The verbs of a session that name, finish, accept and remove."""

    state: SessionState

    @property
    def objects(self) -> SegmentedObjects:
        """All objects by id, in the order of their creation."""
        return SegmentedObjects(self.state.store, self.rename)

    def add_object(self, object_id: int | None = None, name: str = "") -> SegmentedObject:
        """Begin an object; its id is the next free one unless given."""
        record = self.state.do(AddObject(object_id, name))
        return self.objects[record.object_id]

    def take_labels(
        self, labels: NDArray[np.integer], terms: Mapping[int, Term] | None = None, *, origin: str = ""
    ) -> list[int]:
        """Take over a label map as objects, which can be corrected.

        Every label becomes an object with masks on all its slices; one whose id is in use gets the next free one.

        Parameters
        ----------
        labels : (I, J, K) array of int
            On the grid of the volume, in stored order; 0 is background. See `napari_sam2.io.read_labels`.
        terms : mapping of int to Term, optional
            Names, codes and colours by id.
        origin : str
            Who proposed them and from what, for the journal; empty for labels that a person opens.

        Returns
        -------
        list of int
            Ids of the objects.

        Raises
        ------
        UserInputError
            If the labels have another shape than the volume, or hold nothing.
        """
        volume = self.state.volume
        if labels.shape != volume.shape:
            raise UserInputError(f"The labels have the shape {labels.shape}, the image has {volume.shape}.")
        objects = taken_objects(labels, volume, self.state.axis, terms or {}, self.state.store.objects)
        if not objects:
            raise UserInputError("The label map holds no label: every voxel is 0.")
        made: list[int] = self.state.do(TakeLabels(objects, origin))
        return made

    def remove_object(self, object_id: int) -> None:
        """Forget an object with its prompts and masks; undo brings it back.

        Raises
        ------
        UserInputError
            If there is no such object.
        """
        self.state.do(RemoveObject(object_id))

    def rename(self, object_id: int, name: str) -> None:
        """Give an object a name of one's own.

        A code is found by it when results are written.
        """
        self.describe(object_id, Term(name))

    def describe(self, object_id: int, term: Term) -> None:
        """Give an object the name and code of a term.

        With its colour where it has one.
        """
        self.state.do(Describe(object_id, term))

    def finish_object(self, object_id: int) -> None:
        """Declare an object finished.

        Its masks do not change and no other object takes its voxels.
        """
        self.state.do(FinishObject(object_id))

    def reopen_object(self, object_id: int) -> None:
        """Let a finished object be changed again."""
        self.state.do(FinishObject(object_id, finished=False))

    def accept_slice(self, object_id: int, index: int) -> None:
        """Accept a mask as it is.

        Nothing overwrites it, and propagation starts from it.
        """
        self.state.do(AcceptSlice(object_id, index))

    def reopen_slice(self, object_id: int, index: int) -> None:
        """Take back the acceptance of a slice."""
        self.state.do(ReopenSlice(object_id, index))
