"""Every action of the panel with its key: the one table behind buttons, tooltips, help and docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ACTIONS", "GESTURES", "Action", "action", "key_help"]


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person can do with one key or one button.

    Attributes
    ----------
    name : str
        Name of the method of `Actions` behind it.
    title : str
        On the button.
    key : str
        As Qt writes it; free of napari's own keys.
    help : str
        One sentence for tooltip and key card.
    """

    name: str
    title: str
    key: str
    help: str

    @property
    def label(self) -> str:
        """Title with the key, as buttons show it."""
        return f"{self.title} [{self.key}]" if self.key else self.title

    @property
    def tooltip(self) -> str:
        """What it does, and the key."""
        return f"{self.help} Key: {self.key}" if self.key else self.help


GESTURES: Final = (
    ("Click", "include this place"),
    ("Right-click or Ctrl-click", "exclude this place"),
    ("Shift-drag", "draw a box around the object"),
    ("Drag", "move the view; wheel zooms"),
)
"""What the mouse does on the image while the panel is open."""

ACTIONS: Final = (
    Action("next_object", "Next object", "N", "Begin another object."),
    Action(
        "propagate_both", "Propagate", "G", "Carry the object through the volume in both directions; again to stop."
    ),
    Action("propagate_backward", "Back", "Shift+B", "Carry the object towards lower slices."),
    Action("propagate_forward", "Forward", "Shift+G", "Carry the object towards higher slices."),
    Action("stop", "Stop", "Esc", "End the run; what is there stays."),
    Action("range_from_here", "From here", ",", "Let runs write from the slice on view upwards only."),
    Action("range_to_here", "To here", ".", "Let runs write up to the slice on view only."),
    Action("clear_range", "All slices", "/", "Let runs write every slice again."),
    Action("use_layer", "Use layer", "U", "Take the selected Points or Shapes layer as prompts, and follow it."),
    Action("next_doubt", "Next doubt", "J", "Go to the most doubtful slice that was not looked at yet."),
    Action("accept_slice", "Accept", "K", "Accept this slice as it is (again: reopen); nothing overwrites it."),
    Action("finish_object", "Done", "Shift+K", "Declare the object finished (again: reopen); nothing changes it."),
    Action("check_planes", "Check planes", "Shift+J", "Carry the object along all three axes; show where they agree."),
    Action("take_consensus", "Take", "Shift+C", "Replace the checked object by what most planes say."),
    Action("discard_check", "Discard", "Shift+X", "Take the check away and leave the object as it is."),
    Action("toggle_preview", "Preview", "H", "Show under the mouse what a click would give, or stop showing it."),
    Action("undo", "Undo", "Ctrl+Z", "Take back the last action, whatever layer is active."),
    Action("redo", "Redo", "Ctrl+Shift+Z", "Do the last undone action again."),
    Action("show_axial", "Axial", "8", "Show axial slices."),
    Action("show_coronal", "Coronal", "9", "Show coronal slices."),
    Action("show_sagittal", "Sagittal", "0", "Show sagittal slices."),
)


def action(name: str) -> Action:
    """The action of a name."""
    return next(entry for entry in ACTIONS if entry.name == name)


def key_help() -> list[tuple[str, str]]:
    """Gestures and keys with what they do, for the help panel and the docs."""
    return [*GESTURES, *((entry.key, entry.help) for entry in ACTIONS if entry.key)]
