"""What the panel's object table and score strip show of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam2.session.review import doubts_of
from napari_sam2.terms.terminology import find_code

if TYPE_CHECKING:
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.terms.terminology import Code

__all__ = ["ObjectRow", "StripContent", "object_rows", "size_unit", "strip_content"]


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One line of the table.

    Attributes
    ----------
    object_id : int
        Value in the label map.
    name : str
        May be empty.
    code : str
        Scheme, code and meaning; empty where there is none.
    colour : tuple of float
        Red, green, blue in [0, 1].
    size : float
        Millilitres, or voxels where their size is not known; 0 before there is a mask.
    score : float
        NaN before there is a mask.
    visible, finished : bool
        State of the two check boxes.
    """

    object_id: int
    name: str
    code: str
    colour: tuple[float, float, float]
    size: float
    score: float
    visible: bool = True
    finished: bool = False


@dataclass(frozen=True, slots=True)
class StripContent:
    """What the score strip shows.

    Attributes
    ----------
    n_slices : int
        Length of the bar.
    doubts : dict of int to float
        0 to 1, by slice index; slices without the object are absent.
    prompted, accepted : frozenset of int
        Slices that a person prompted or accepted.
    current : int, optional
        The slice on view.
    allowed : tuple of int, optional
        First and last slice that a run may write; None for all.
    """

    n_slices: int = 0
    doubts: dict[int, float] = field(default_factory=dict)
    prompted: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    current: int | None = None
    allowed: tuple[int, int] | None = None


def strip_content(work: ScanWork | None) -> StripContent:
    """Doubt along the slices of the current object.

    And where the view is among them.
    """
    if work is None:
        return StripContent()
    obj, axis, on_view = work.current_object, work.axis_of(work.current), work.view.slice()
    touched = {i for i, r in obj.slices.items() if r.mask.n_voxels or r.prompted}
    return StripContent(
        n_slices=work.shown.volume.shape[axis],
        doubts={i: doubt for i, doubt in doubts_of(obj).items() if i in touched},
        prompted=frozenset(i for i, r in obj.slices.items() if r.prompted),
        accepted=obj.accepted,
        current=on_view[1] if on_view is not None and on_view[0] == axis else None,
        allowed=work.range.ends(axis),
    )


def _code_text(code: Code | None) -> str:
    return "" if code is None else f"{code} {code.meaning}"


def size_unit(work: ScanWork | None) -> str:
    """What `ObjectRow.size` counts."""
    if work is None or work.shown.is_sized:
        return "mL"
    return "px" if work.shown.is_film else "voxels"


def object_rows(work: ScanWork | None) -> list[ObjectRow]:
    """One row per object for the table.

    The current one is among them even before its first prompt.
    """
    if work is None:
        return []
    shown = work.shown
    ids = list(work.snapshot.objects)
    rows = []
    for object_id in ids if work.current in ids else [*ids, work.current]:
        obj = work.object(object_id)
        rows.append(
            ObjectRow(
                object_id=object_id,
                name=obj.name or (work.terms[object_id].name if object_id in work.terms else ""),
                code=_code_text(obj.code or find_code(obj.name)),
                colour=work.result.colour_of(object_id),
                size=obj.n_voxels * (shown.volume.voxel_volume_ml if shown.is_sized else 1),
                score=obj.mean_iou,
                visible=object_id not in work.result.hidden,
                finished=obj.finished,
            )
        )
    return rows
