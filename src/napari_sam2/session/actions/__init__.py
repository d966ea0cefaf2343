"""Every action of a volume's session.

What it does, how it is written, and how it is read again.

The names are those of journals since version 0.1.0. What was answered is in the changes of a journal's line; an
action holds what was asked, and reads it from the changes where 0.1.0 wrote it only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from napari_sam2.core.actions import Action, Redo, Resumed, Undo, UseModel
from napari_sam2.session.actions.channels import AddChannel, UseChannelWindow, UseFusion, UseMix
from napari_sam2.session.actions.labels import TakeLabels
from napari_sam2.session.actions.objects import AddObject, Describe, FinishObject, RemoveObject, TakeConsensus
from napari_sam2.session.actions.prompts import SetPrompts, UseTool
from napari_sam2.session.actions.runs import Propagate, Spread
from napari_sam2.session.actions.settings import UseOverlap, UseWindow
from napari_sam2.session.actions.slices import AcceptSlice, ReopenSlice

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SCAN_ACTIONS",
    "AcceptSlice",
    "AddChannel",
    "AddObject",
    "Describe",
    "FinishObject",
    "Propagate",
    "RemoveObject",
    "ReopenSlice",
    "SetPrompts",
    "Spread",
    "TakeConsensus",
    "TakeLabels",
    "UseChannelWindow",
    "UseFusion",
    "UseMix",
    "UseOverlap",
    "UseTool",
    "UseWindow",
]

SCAN_ACTIONS: Final[Mapping[str, type[Action]]] = {
    action.name: action
    for action in (
        SetPrompts,
        Propagate,
        Spread,
        TakeConsensus,
        UseTool,
        AcceptSlice,
        ReopenSlice,
        AddObject,
        TakeLabels,
        RemoveObject,
        FinishObject,
        Describe,
        UseWindow,
        AddChannel,
        UseChannelWindow,
        UseFusion,
        UseMix,
        UseOverlap,
        UseModel,
        Undo,
        Redo,
        Resumed,
    )
}
"""Name in a journal -> action."""
