"""Every action of a slide's session.

What it does, how it is written, and how it is read again.

The names are those of journals since version 0.1.0, which wrote outcomes only: where a line does not say what was
asked, the action is `AsRecorded`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam2.core.actions import Action, Line, Redo, Resumed, Undo, UseModel
from napari_sam2.slides.actions.automatic import BeginAutomatic, EndAutomatic
from napari_sam2.slides.actions.classes import ListClasses, Recolour, SetClasses
from napari_sam2.slides.actions.objects import AsRecorded, ChangeObject, RemoveObject
from napari_sam2.slides.actions.outlines import Draw, EditOutline, TakeFound, TakeObjects
from napari_sam2.slides.actions.prompts import AddPrompt, ChooseMask, Refine
from napari_sam2.slides.actions.settings import SetMpp, ShowChannels, ShowPlane, UseOverlap
from napari_sam2.slides.actions.several import ClassifyObjects, FinishObjects, RemoveObjects

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AddPrompt",
    "AsRecorded",
    "BeginAutomatic",
    "ChangeObject",
    "ChooseMask",
    "ClassifyObjects",
    "Draw",
    "EditOutline",
    "EndAutomatic",
    "FinishObjects",
    "ListClasses",
    "Refine",
    "RemoveObject",
    "RemoveObjects",
    "SetClasses",
    "SetMpp",
    "ShowChannels",
    "ShowPlane",
    "TakeFound",
    "TakeObjects",
    "UseOverlap",
    "slide_action",
]


def slide_action(name: str, line: Line) -> type[Action] | None:
    """The action of a journal's line.

    None when there is none of that name.
    """
    if name == "automatic" and "region" in line:
        # Version 0.1.0 had one name for a run's beginning and for what it found.
        return BeginAutomatic
    if name in ("prompt", "refine") and "object" not in line:
        return AsRecorded
    return _ACTIONS.get(name, AsRecorded if "changes" in line else None)


_ACTIONS: Final[Mapping[str, type[Action]]] = {
    action.name: action
    for action in (
        AddPrompt,
        ChooseMask,
        Refine,
        Draw,
        EditOutline,
        TakeObjects,
        TakeFound,
        ChangeObject,
        RemoveObject,
        ClassifyObjects,
        FinishObjects,
        RemoveObjects,
        SetClasses,
        Recolour,
        ListClasses,
        SetMpp,
        UseOverlap,
        ShowChannels,
        ShowPlane,
        UseModel,
        BeginAutomatic,
        EndAutomatic,
        Undo,
        Redo,
        Resumed,
    )
}
