"""Taking over labels that were made elsewhere as objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from scipy import ndimage

from napari_sam2.core.actions import Edit, Line
from napari_sam2.core.checked import list_of, text_of
from napari_sam2.core.slice_masks import SliceMask, SliceResult, SliceScores
from napari_sam2.errors import UserInputError
from napari_sam2.session.encoding import axis_of, id_of, result_from_json, term_from_json
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.terms.terminology import Term

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.core.history import Step
    from napari_sam2.core.volume import Volume
    from napari_sam2.session.state import SessionState

__all__ = ["TakeLabels", "TakenObject", "taken_objects"]

FOUND: Final = SliceScores(object_score=math.inf, predicted_iou=math.nan)
"""Of a mask that no model made: it is there, and nobody has estimated how good it is."""

MOST_IDS: Final = 1 << 16
"""Up to this id, places for all ids are kept while their boxes are looked for."""


@dataclass(slots=True, eq=False)
class TakenObject:
    """One label with its masks, as `TakeLabels` wants it.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    term : Term
        Name, code and colour; empty where nothing says what it is.
    axis : int
        Slice axis of the masks.
    masks : dict of int to SliceMask
        By slice index.
    """

    object_id: int
    term: Term
    axis: int
    masks: dict[int, SliceMask] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TakeLabels(Edit):
    """Labels become objects, with their masks on every slice.

    Nothing of them counts as prompted: a click corrects them, and a slice that is accepted or prompted can be carried.

    Attributes
    ----------
    objects : tuple of TakenObject
        None of which the session holds.
    origin : str
        Who proposed the masks, where a person accepted a proposal.
    """

    asked_in: ClassVar[tuple[str, ...]] = ("object", "results")
    name: ClassVar[str] = "labels"
    title: ClassVar[str] = "opened labels"
    objects: tuple[TakenObject, ...]
    origin: str = ""

    def do(self, state: SessionState, step: Step) -> list[int]:
        """See `Session.take_labels`."""
        for taken in self.objects:
            term, object_id = taken.term, taken.object_id
            if object_id in state.store.objects:
                raise UserInputError(f"Object {object_id} exists already; remove it before opening labels with it.")
            record = ObjectRecord(object_id, term.name, axis=taken.axis, code=term.code, colour=term.colour)
            obj = state.store.add(step, record)
            for index, mask in taken.masks.items():
                result = SliceResult(object_id, taken.axis, index, mask, FOUND, prompted=False)
                state.store.put(step, obj, "results", index, result)
        return [taken.object_id for taken in self.objects]

    def as_json(self) -> dict[str, Any]:
        """The masks are in the changes."""
        return {"origin": self.origin} if self.origin else {}

    @classmethod
    def from_json(cls, line: Line, state: SessionState) -> Self:
        """From its changes."""
        objects: dict[int, TakenObject] = {}
        for written in list_of(line["changes"]):
            object_id, value = id_of(written["object"]), written["value"]
            if written["field"] == "object":
                objects[object_id] = TakenObject(object_id, term_from_json(value), axis_of(value["axis"]))
            else:
                result = result_from_json(value, object_id, written["slice"], state.volume)
                objects[object_id].masks[result.index] = result.mask
        return cls(tuple(objects.values()), text_of(line.get("origin", "")))


def taken_objects(
    labels: NDArray[np.integer], volume: Volume, axis: int, terms: Mapping[int, Term], taken: Iterable[int] = ()
) -> tuple[TakenObject, ...]:
    """The labels of a map as objects, one for each id.

    Parameters
    ----------
    labels : (I, J, K) array
        In the stored order of the volume; 0 is background.
    volume : Volume
        The grid they lie on.
    axis : int
        Across which their slices are cut.
    terms : mapping of int to Term
        What is known of them, by id.
    taken : iterable of int
        Ids that are in use: such a label gets the next free one.
    """
    plane, used = volume.plane(axis), set(taken)
    ids: Sequence[int] = range(1, int(labels.max(initial=0)) + 1)
    free = max([*used, *ids[-1:]], default=0)
    if len(ids) > MOST_IDS:
        # Large ids are few: numbered anew, their boxes are found as fast as those of small ones.
        known, numbers = np.unique(labels, return_inverse=True)
        ids, boxes = known[1:].tolist(), ndimage.find_objects(numbers.reshape(labels.shape))
    else:
        boxes = ndimage.find_objects(labels)
    objects = []
    for label_id, box in zip(ids, boxes, strict=True):
        if box is None:
            continue
        object_id = label_id
        if object_id in used:
            free += 1
            object_id = free
        here = TakenObject(object_id, terms.get(label_id, Term("")), axis)
        for index in range(box[axis].start, box[axis].stop):
            mask = SliceMask.of(plane.take(labels, index) == label_id)
            if mask.n_voxels:
                here.masks[index] = mask
        objects.append(here)
    return tuple(objects)
