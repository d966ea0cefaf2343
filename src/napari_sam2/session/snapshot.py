"""What a session holds at one moment, frozen.

For whoever shows it on another thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.core.labels import ObjectMasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.mix import Mix
    from napari_sam2.core.prompts import Prompt
    from napari_sam2.core.slice_masks import SliceResult
    from napari_sam2.core.window import Window
    from napari_sam2.terms.terminology import Code

__all__ = ["ObjectSnapshot", "SessionSnapshot"]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSnapshot:
    """One object at one moment.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    name : str
        For people.
    axis : int
        Slice axis of its masks.
    prompts : tuple of Prompt
        In the order in which they were given.
    results : mapping of int to SliceResult
        By slice index.
    accepted : frozenset of int
        Slices that a person has accepted: nothing changes them until they are reopened.
    finished : bool
        Whether the whole object is finished.
    code : Code, optional
        What it is, for machines, where a person chose a term.
    colour : tuple of int, optional
        Red, green, blue, 0 to 255, where the term has one.
    mix : Mix, optional
        How the channels become the image for the model.
    """

    object_id: int
    name: str = ""
    axis: int = 2
    prompts: tuple[Prompt, ...] = ()
    results: Mapping[int, SliceResult] | None = None
    accepted: frozenset[int] = frozenset()
    finished: bool = False
    code: Code | None = None
    colour: tuple[int, int, int] | None = None
    mix: Mix | None = None

    @property
    def slices(self) -> Mapping[int, SliceResult]:
        """Results by slice index."""
        return self.results or {}

    @property
    def n_voxels(self) -> int:
        """Voxels in all masks."""
        return sum(result.mask.n_voxels for result in self.slices.values())

    @property
    def masks(self) -> ObjectMasks:
        """What the label map is composed from."""
        masks = {i: r.mask for i, r in self.slices.items()}
        return ObjectMasks(self.object_id, self.axis, masks, self.finished)

    @property
    def mean_iou(self) -> float:
        """Mean of the model's own estimates for an object.

        Over the slices that hold it; NaN without any.
        """
        estimates = [r.scores.predicted_iou for r in self.slices.values() if r.mask.n_voxels]
        return sum(estimates) / len(estimates) if estimates else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class SessionSnapshot:
    """All objects at one moment, in the order of their creation.

    Attributes
    ----------
    objects : mapping of int to ObjectSnapshot
        By id.
    window : Window, optional
        How the model sees intensities.
    overlap : str
        Who keeps a voxel that several objects claim.
    undo, redo : str
        What the next undo or redo would change; empty when there is nothing.
    channels : ChannelStack, optional
        The scan with its further channels.
    fusion : str
        How a new object's mix of them is chosen.
    model_kind : str
        Of the model, as in `napari_sam2.models.base.ModelCard`.
    """

    objects: Mapping[int, ObjectSnapshot]
    window: Window | None = None
    overlap: str = "smallest"
    undo: str = ""
    redo: str = ""
    channels: ChannelStack | None = None
    fusion: str = "auto"
    model_kind: str = ""
