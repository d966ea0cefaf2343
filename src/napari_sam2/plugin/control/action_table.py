"""All actions of the panel.

The one table behind buttons, keys, tooltips, commands, menus and docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.plugin.scan.hand_tools import use_tool
from napari_sam2.plugin.scan.prompt_saving import save_prompts

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.control.work import Work
    from napari_sam2.plugin.control.workspace import Workspace
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.plugin.slide.work import SlideWork

__all__ = ["ACTIONS", "CLASS_KEYS", "GESTURES", "Action", "action", "key_help", "keyed"]

VOLUMES: Final = frozenset({"scan", "film"})
SCANS: Final = frozenset({"scan", "film", "picture"})
SLIDES: Final = frozenset({"slide"})
EVERY: Final = SCANS | SLIDES

_NAMES: Final = {"scan": "a scan", "film": "a film, which is seen frame by frame", "picture": "one picture",
                 "slide": "a slide"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """Something that one key, button or command does.

    Attributes
    ----------
    name : str
        Stable; the command's id.
    title : str
        On the button.
    key : str
        As Qt writes it, free of napari's own keys; empty for none.
    help : str
        One sentence for tooltip, key card and palette.
    menu : str
        Group of the menu.
    on : frozenset of str
        Kinds of work that have it, see `napari_sam2.plugin.control.work.Kind`.
    run : callable
        Does it, with the work; with the workspace for an action that needs no image.
    """

    name: str
    title: str
    key: str
    help: str
    menu: str
    on: frozenset[str]
    run: Callable[[Any], None]
    needs_image: bool = True

    @property
    def label(self) -> str:
        """Title with the key, as buttons show it."""
        return f"{self.title} [{self.key}]" if self.key else self.title

    @property
    def tooltip(self) -> str:
        """What it does, and the key."""
        return f"{self.help} Key: {self.key}" if self.key else self.help

    @property
    def command(self) -> str:
        """As palette and menu show it: the first part of the help."""
        return self.help.split(";")[0].split(" (")[0].rstrip(".")

    def do(self, workspace: Workspace) -> None:
        """Do it on the chosen image, or say why not."""
        if not self.needs_image:
            self.run(workspace)
        elif workspace.work is None:
            workspace.say("The image is being opened." if workspace.is_opening else "Open or select an image to begin.")
        elif workspace.work.kind not in self.on:
            workspace.say(f"{self.title} is not for {_NAMES[workspace.work.kind]}.")
        else:
            self.run(workspace.work)


def _every(name: str, title: str, key: str, help_: str, menu: str, run: Callable[[Work], None]) -> Action:
    return Action(name, title, key, help_, menu, EVERY, run)


def _volume(name: str, title: str, key: str, help_: str, menu: str, run: Callable[[ScanWork], None]) -> Action:
    return Action(name, title, key, help_, menu, VOLUMES, run)


def _scan(name: str, title: str, key: str, help_: str, menu: str, run: Callable[[ScanWork], None]) -> Action:
    return Action(name, title, key, help_, menu, frozenset({"scan"}), run)


def _hand(name: str, title: str, key: str, help_: str, menu: str, run: Callable[[Any], None]) -> Action:
    return Action(name, title, key, help_, menu, frozenset({"scan"}) | SLIDES, run)


def _slide(name: str, title: str, key: str, help_: str, menu: str, run: Callable[[SlideWork], None]) -> Action:
    return Action(name, title, key, help_, menu, SLIDES, run)


def _anywhere(name: str, title: str, key: str, help_: str, menu: str, run: Callable[[Workspace], None]) -> Action:
    return Action(name, title, key, help_, menu, EVERY, run, needs_image=False)


def _toggle_preview(workspace: Workspace) -> None:
    workspace.preview.toggle()
    if workspace.preview.on:
        workspace.say("Hover preview is on: rest the mouse on the image. The first one of a slice takes seconds.")
    else:
        workspace.say("Hover preview is off.")


GESTURES: Final = (
    ("Click", "include this place"),
    ("Right-click or Ctrl-click", "exclude this place"),
    ("Shift-drag", "draw a box around the object"),
    ("Drag", "move the view; wheel zooms"),
)
"""What the mouse does on the image while the panel is open."""

ACTIONS: Final = (
    _every("next_object", "Next object", "N", "Begin another object.", "1_work", lambda work: work.next_object()),
    _every(
        "remove_object",
        "Remove",
        "",
        "Remove the current object; undo brings it back.",
        "1_work",
        lambda work: work.remove_object(),
    ),
    _volume(
        "propagate_both",
        "Propagate",
        "G",
        "Carry the object through the volume in both directions; again to stop.",
        "1_work",
        lambda work: work.propagate("both"),
    ),
    _volume(
        "propagate_backward",
        "Back",
        "Shift+B",
        "Carry the object towards lower slices.",
        "1_work",
        lambda work: work.propagate("backward"),
    ),
    _volume(
        "propagate_forward",
        "Forward",
        "Shift+G",
        "Carry the object towards higher slices.",
        "1_work",
        lambda work: work.propagate("forward"),
    ),
    _every("stop", "Stop", "Esc", "End the run; what is there stays.", "1_work", lambda work: work.run.stop()),
    _slide(
        "refine_object",
        "Refine",
        "",
        "Look at the object's border at twice the resolution; helps the classical model, the bundled one rarely.",
        "1_work",
        lambda work: work.refine_object(),
    ),
    _slide(
        "other_mask",
        "Other mask",
        "M",
        "Take the next of the masks that the object's one click may mean.",
        "1_work",
        lambda work: work.masks.next(),
    ),
    _slide(
        "one_by_one",
        "One by one",
        "O",
        "Let every click begin an object of its own, or select the one that is there; again to stop.",
        "1_work",
        lambda work: work.one_by_one.toggle(),
    ),
    _slide(
        "next_row",
        "Next row",
        "PgDown",
        "Go to the next object of the table; the zoom stays.",
        "3_review",
        lambda work: work.step_object(1),
    ),
    _slide(
        "previous_row",
        "Row before",
        "PgUp",
        "Go to the object before in the table; the zoom stays.",
        "3_review",
        lambda work: work.step_object(-1),
    ),
    _every(
        "use_layer",
        "Use layer",
        "U",
        "Take the selected Points or Shapes layer as prompts, or a Labels layer as objects.",
        "1_work",
        lambda work: work.use_layer(work.workspace.viewer.layers.selection.active),
    ),
    _volume(
        "range_from_here",
        "From here",
        ",",
        "Let runs write from the slice on view upwards only.",
        "2_range",
        lambda work: work.begin_range(),
    ),
    _volume(
        "range_to_here",
        "To here",
        ".",
        "Let runs write up to the slice on view only.",
        "2_range",
        lambda work: work.end_range(),
    ),
    _volume(
        "clear_range",
        "All slices",
        "/",
        "Let runs write every slice again.",
        "2_range",
        lambda work: work.clear_range(),
    ),
    _every(
        "next_doubt",
        "Next doubt",
        "J",
        "Go to the most doubtful slice that was not looked at yet.",
        "3_review",
        lambda work: work.review.next(),
    ),
    _every(
        "accept_slice",
        "Accept",
        "K",
        "Accept this slice as it is (again: reopen); nothing overwrites it.",
        "3_review",
        lambda work: work.review.accept(),
    ),
    _every(
        "finish_object",
        "Done",
        "Shift+K",
        "Declare the object finished (again: reopen); nothing changes it.",
        "3_review",
        lambda work: work.finish_object(),
    ),
    _anywhere(
        "toggle_preview",
        "Preview",
        "H",
        "Show under the mouse what a click would give, or stop showing it.",
        "3_review",
        _toggle_preview,
    ),
    _scan(
        "check_planes",
        "Check planes",
        "Shift+J",
        "Carry the object along all three axes; show where they agree.",
        "3_review",
        lambda work: work.check.start(),
    ),
    _scan(
        "take_consensus",
        "Take",
        "Shift+C",
        "Replace the checked object by what most planes say.",
        "3_review",
        lambda work: work.check.accept(),
    ),
    _scan(
        "discard_check",
        "Discard",
        "Shift+X",
        "Take the check away and leave the object as it is.",
        "3_review",
        lambda work: work.check.discard(),
    ),
    _scan(
        "accept_candidate",
        "Accept",
        "Y",
        "Make the candidate that a name has found an object; look at it first.",
        "3_review",
        lambda work: work.finding.accept(),
    ),
    _scan(
        "reject_candidate",
        "Reject",
        "X",
        "Forget the candidate that a name has found; nothing is segmented.",
        "3_review",
        lambda work: work.finding.reject(),
    ),
    _scan(
        "accept_candidates",
        "Accept all",
        "Shift+Y",
        "Make every candidate that waits an object, unseen ones too.",
        "3_review",
        lambda work: work.finding.accept_all(),
    ),
    _scan(
        "measure_objects",
        "Measure",
        "M",
        "Measure all objects in a table that copies to a spreadsheet, and draw their axes; again to hide both.",
        "3_compare",
        lambda work: work.measuring.toggle(),
    ),
    _scan(
        "next_difference",
        "Next difference",
        "D",
        "Go to the deepest difference from the labels that are compared with.",
        "3_compare",
        lambda work: work.comparison.next(),
    ),
    _scan(
        "carry_over",
        "Carry over",
        "",
        "Propose the objects of the other scan at the same place here, to be accepted or rejected.",
        "3_compare",
        lambda work: work.other.carry_over(),
    ),
    _scan(
        "lay_on",
        "Lay on",
        "",
        "Find how the other scan lies on this one; for a body that was moved between the two.",
        "3_compare",
        lambda work: work.other.lay_on(),
    ),
    _scan(
        "grow",
        "Grow",
        "",
        "Grow the object by one voxel in its plane, on all slices.",
        "3_shape",
        lambda work: use_tool(work, "grow"),
    ),
    _scan(
        "shrink",
        "Shrink",
        "",
        "Shrink the object by one voxel in its plane, on all slices.",
        "3_shape",
        lambda work: use_tool(work, "shrink"),
    ),
    _scan(
        "smooth",
        "Smooth",
        "",
        "Take spikes and notches away from the object, on all slices.",
        "3_shape",
        lambda work: use_tool(work, "smooth"),
    ),
    _scan(
        "fill_holes",
        "Fill holes",
        "",
        "Fill what the object encloses, slice by slice.",
        "3_shape",
        lambda work: use_tool(work, "fill holes"),
    ),
    _scan(
        "keep_largest",
        "Keep largest",
        "",
        "Keep the object's largest connected part.",
        "3_shape",
        lambda work: use_tool(work, "keep largest"),
    ),
    _scan(
        "snap_to_edge",
        "Snap to edge",
        "",
        "Move the object's border to the nearest edge in the image, by three voxels at most.",
        "3_shape",
        lambda work: use_tool(work, "snap to edge"),
    ),
    _hand(
        "brush",
        "Brush",
        "B",
        "Let a drag paint on the object; again to stop. On scans only intensities in the range of the fields.",
        "3_shape",
        lambda work: work.hand.choose("brush"),
    ),
    _hand(
        "erase",
        "Erase",
        "E",
        "Let a drag take away from the object; again to stop. On scans only intensities in the range of the fields.",
        "3_shape",
        lambda work: work.hand.choose("erase"),
    ),
    _hand(
        "lasso",
        "Lasso",
        "L",
        "Let a drag outline what is added to the object; again to stop.",
        "3_shape",
        lambda work: work.hand.choose("lasso"),
    ),
    _scan(
        "keep_part",
        "Keep part",
        "P",
        "Let a click keep the connected part of the object under it; again to stop.",
        "3_shape",
        lambda work: work.hand.choose("keep part"),
    ),
    _every(
        "undo",
        "Undo",
        "Ctrl+Z",
        "Take back the last action, whatever layer is active.",
        "4_history",
        lambda work: work.undo(),
    ),
    _every("redo", "Redo", "Ctrl+Shift+Z", "Do the last undone action again.", "4_history", lambda work: work.redo()),
    _every(
        "resume_session",
        "Resume",
        "",
        "Bring back the prompts, results and names of earlier work, with undo.",
        "4_history",
        lambda work: work.resume(),
    ),
    _anywhere(
        "toggle_layer_lists",
        "Layers",
        "Shift+L",
        "Show napari's lists of layers beside the picture, or hide them.",
        "5_view",
        lambda workspace: workspace.layer_lists.toggle(),
    ),
    _scan(
        "save_prompts",
        "Save prompts",
        "",
        "Save the prompts of all objects beside the scan; for the command line.",
        "4_history",
        save_prompts,
    ),
    _scan(
        "toggle_planes",
        "Other planes",
        "7",
        "Show the two other planes beside the picture, with a cross; prompts are taken there as well.",
        "5_view",
        lambda work: work.workspace.planes.toggle(),
    ),
    _scan(
        "toggle_side_by_side",
        "Side by side",
        "5",
        "Show the other scan beside the picture, at the same place of the body; again to hide it.",
        "5_view",
        lambda work: work.workspace.side_by_side.toggle(),
    ),
    _scan(
        "meet_here",
        "Meet here",
        "V",
        "Let the planes meet at the place under the mouse.",
        "5_view",
        lambda work: work.meet_at(tuple(work.workspace.viewer.cursor.position)),
    ),
    _scan(
        "show_3d",
        "3-D",
        "6",
        "Show the objects in 3-D; again to go back to slices.",
        "5_view",
        lambda work: work.in_3d.toggle(),
    ),
    _scan("show_axial", "Axial", "8", "Show axial slices.", "5_view", lambda work: work.view.turn_to("axial")),
    _scan("show_coronal", "Coronal", "9", "Show coronal slices.", "5_view", lambda work: work.view.turn_to("coronal")),
    _scan(
        "show_sagittal", "Sagittal", "0", "Show sagittal slices.", "5_view", lambda work: work.view.turn_to("sagittal")
    ),
)


def _class_key(number: int) -> Action:
    help_ = f"Give class {number} of the list to the current or selected objects and to new ones."
    return _slide(
        f"class_{number}",
        f"Class {number}",
        str(number),
        help_ if number else "Take the class of the current or selected objects away.",
        "2_class",
        lambda work: work.choices.use_number(number),
    )


CLASS_KEYS: Final = tuple(_class_key(number) for number in range(10))
"""Number keys on a slide: keys alone, without commands."""

_BY_NAME: Final = {entry.name: entry for entry in (*ACTIONS, *CLASS_KEYS)}


def action(name: str) -> Action:
    """The action of a name."""
    return _BY_NAME[name]


def keyed(kind: str) -> dict[str, Action]:
    """The actions of all keys, on a kind of work.

    Where a key is for other kinds only, one of those.
    """
    rows = [entry for entry in (*ACTIONS, *CLASS_KEYS) if entry.key]
    return {entry.key: entry for entry in sorted(rows, key=lambda entry: kind in entry.on)}


def key_help() -> list[tuple[str, str]]:
    """Gestures and keys with what they do.

    For the help panel and the docs.
    """
    classes = ("1 to 9, 0", "On a slide: give that class of the list, or none, to the chosen objects and to new ones.")
    return [*GESTURES, *((entry.key, _told(entry)) for entry in ACTIONS if entry.key), classes]


def _told(entry: Action) -> str:
    """What a key does, and where when it means something else elsewhere."""
    twice = sum(other.key == entry.key for other in ACTIONS) > 1
    where = "on a slide" if entry.on == SLIDES else "on a scan"
    return f"{where}: {entry.help[0].lower()}{entry.help[1:]}" if twice else entry.help
