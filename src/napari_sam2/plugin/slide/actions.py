"""What keys and buttons do while a slide is chosen: the names of `napari_sam2.plugin.control.action_table.ACTIONS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.slide.view import show_object
from napari_sam2.slides.objects import new_id

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.desk import SlideDesk

__all__ = ["SlideActions"]


class SlideActions:
    """One method per action that means something on a slide.

    Parameters
    ----------
    desk : SlideDesk
        On what they act.
    """

    def __init__(self, desk: SlideDesk) -> None:
        self._desk = desk
        self._seen: set[str] = set()
        self._reviewing = False

    def next_object(self) -> None:
        """Begin another object."""
        work = self._desk.current
        if work is None:
            return
        if not work.is_begun:
            self._desk.say("This object has no prompt yet: click inside it, or Shift-drag a box.")
            return
        work.select(new_id())
        self._desk.say("A new object: click inside it, or Shift-drag a box.")

    def stop(self) -> None:
        """End the automatic run; what is done stays."""
        self._desk.automatic.stop()

    def use_layer(self) -> None:
        """Take the selected shapes of the active Shapes layer as objects."""
        self._desk.take_shapes()

    def next_doubt(self) -> None:
        """Go to the object with the lowest score that was not looked at yet; at the end, begin again."""
        work = self._desk.current
        if work is None:
            return
        queue = sorted(
            (obj for obj in work.snapshot.objects if obj.score is not None and not obj.locked),
            key=lambda obj: obj.score or 0.0,
        )
        if not queue:
            self._reviewing = False
            self._desk.say("Nothing is left to check: every object is accepted, or was drawn by hand.")
            return
        waiting = [obj for obj in queue if obj.object_id not in self._seen]
        if not waiting:
            self._seen.clear()
            waiting = queue
        obj = waiting[0]
        self._seen.add(obj.object_id)
        self._reviewing = True
        self.go_to(obj.object_id)
        self._desk.say(
            f"{obj.name or 'Object'}: score {obj.score:.2f}, {len(waiting) - 1} left. Accept, or correct it."
        )

    def accept_slice(self) -> None:
        """Accept the current object, so that nothing changes it, or take the acceptance back; then go on."""
        work = self._desk.current
        obj = None if work is None else work.object
        if work is None or obj is None:
            self._desk.say("There is no outline to accept yet.")
            return
        locked = not obj.locked
        reviewing = self._reviewing and locked

        def done(_: object) -> None:
            self._desk.say(f"{obj.name or 'Object'} {'accepted' if locked else 'reopened'}.")
            if reviewing:
                self.next_doubt()

        work.ask(lambda session: session.change(obj.object_id, locked=locked), done)

    def finish_object(self) -> None:
        """Accept the current object, or take the acceptance back; an object on a slide has no slices."""
        self.accept_slice()

    def toggle_preview(self) -> None:
        """Switch the hover preview on or off."""
        self._desk.toggle_preview()

    def undo(self) -> None:
        """Take back the last action."""
        if self._desk.current is not None:
            self._desk.current.ask(lambda session: session.undo(), lambda done: self._tell("Undone", done))

    def redo(self) -> None:
        """Do the last undone action again."""
        if self._desk.current is not None:
            self._desk.current.ask(lambda session: session.redo(), lambda done: self._tell("Done again", done))

    def remove(self) -> None:
        """Remove the current object."""
        work = self._desk.current
        if work is not None and work.object is not None:
            work.remove(work.current)

    def refine(self) -> None:
        """Look at the current object's outline at twice the resolution."""
        work = self._desk.current
        if work is None or work.object is None:
            self._desk.say("There is no outline to refine yet.")
            return
        object_id = work.current
        self._desk.say("Refining ...")
        work.ask(lambda session: session.refine(object_id), lambda _: self._desk.say("Refined; Ctrl+Z takes it back."))

    def go_to(self, object_id: str) -> None:
        """Select an object and bring it into view."""
        work = self._desk.current
        obj = None if work is None else work.snapshot.find(object_id)
        if work is None or obj is None:
            return
        work.select(object_id)
        if not obj.geometry.is_empty:
            show_object(self._desk.viewer, work.image, obj.geometry)
            work.draw()

    def forget(self) -> None:
        """Begin the review anew, for another slide."""
        self._seen.clear()
        self._reviewing = False

    def _tell(self, what: str, done: bool) -> None:
        work = self._desk.current
        if work is not None and work.object is None and work.snapshot.objects:
            work.select(work.snapshot.objects[-1].object_id)
        self._desk.say(f"{what}." if done else "There is nothing left to take back or do again.")
