"""What the panel's object table shows of a snapshot, and what a person changes in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_sam2.plugin.annotation import Annotation

__all__ = ["ObjectRow", "object_rows"]


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One line of the table.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    name : str
        May be empty.
    colour : tuple of float
        Red, green, blue in [0, 1].
    volume_ml : float
        0 before there is a mask.
    score : float
        NaN before there is a mask.
    visible, finished : bool
        State of the two check boxes.
    """

    object_id: int
    name: str
    colour: tuple[float, float, float]
    volume_ml: float
    score: float
    visible: bool = True
    finished: bool = False


def object_rows(annotation: Annotation | None, current: int) -> list[ObjectRow]:
    """One row per object, the current one among them even before its first prompt."""
    if annotation is None:
        return []
    ids = list(annotation.snapshot.objects)
    rows = []
    for object_id in ids if current in ids else [*ids, current]:
        obj = annotation.object(object_id)
        rows.append(
            ObjectRow(
                object_id=object_id,
                name=obj.name,
                colour=annotation.result.colour_of(object_id),
                volume_ml=obj.n_voxels * annotation.shown.volume.voxel_volume_ml,
                score=obj.mean_iou,
                visible=object_id not in annotation.result.hidden,
                finished=obj.protected,
            )
        )
    return rows
