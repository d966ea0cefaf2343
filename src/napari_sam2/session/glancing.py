"""A glance at an object: about what one more click would give.

On its slice; cheap, and nothing is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sam2.core.prompts import Point, SlicePrompts
from napari_sam2.engine.verbs import GlancingEngine
from napari_sam2.session.channels import tuned_mix
from napari_sam2.session.correcting import corrected_about, is_carried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.core.slice_masks import SliceMask
    from napari_sam2.session.objects import ObjectRecord
    from napari_sam2.session.state import SessionState

__all__ = ["Glimpse", "glance_at"]


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What a glance has seen.

    Attributes
    ----------
    mask : SliceMask
        On the whole slice.
    side : float
        Voxels down the view that the model looked at, where the next glance begins; 0 when it looked at none.
    """

    mask: SliceMask
    side: float = 0.0


def glance_at(
    state: SessionState, object_id: int, voxel: Sequence[float], axis: int, side: float = 0.0
) -> Glimpse | None:
    """About what an include click would give on its slice.

    An object that was carried is corrected by the perceptron alone, others are answered by the model in a quick way.

    Parameters
    ----------
    state : SessionState
        Nothing of it is changed.
    object_id : int
        The object, which may not have begun.
    voxel : (3,) sequence of float
        The place.
    axis : int
        Of the slice.
    side : float
        That of the glance before this one; 0 looks at all sizes.

    Returns
    -------
    Glimpse, optional
        None where a click would be refused, or where the object lies across another axis.
    """
    i, j, k = voxel
    click = Point((float(i), float(j), float(k)))
    index = click.slice_index(axis)
    obj = state.store.objects.get(object_id)
    if obj is not None and not _is_open(obj, axis, index):
        return None
    if obj is not None and is_carried(obj):
        return Glimpse(corrected_about(state, obj, click))
    here = [] if obj is None else [prompt for prompt in obj.prompts if prompt.slice_index(axis) == index]
    prompts = SlicePrompts.of([*here, click], state.volume, axis)[index]
    previous = None if obj is None else obj.anchors.get(index)
    settled = None if obj is None else obj.mix
    engine = state.engine(axis, settled or tuned_mix(state.model.card, state.channels.names))
    if isinstance(engine, GlancingEngine):
        anchor = engine.glance(index, prompts, previous=previous, side=side)
        return Glimpse(anchor.mask, anchor.view.rows)
    mask: SliceMask = engine.predict(index, prompts, previous=previous).mask
    return Glimpse(mask)


def _is_open(obj: ObjectRecord, axis: int, index: int) -> bool:
    """Whether a click on a slice may change an object."""
    begun = bool(obj.prompts or obj.results)
    return not (obj.finished or (begun and obj.axis != axis) or index in obj.accepted)
