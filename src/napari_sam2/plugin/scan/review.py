"""Reviewing: the worst slice first, accepted with one key, corrected with a click that spreads by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_sam2.session.review import DoubtfulSlice, review_queue

if TYPE_CHECKING:
    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.session.session import Session

__all__ = ["Reviewing"]


class Reviewing:
    """The queue of doubtful slices of the chosen image, and where in it a person is.

    Parameters
    ----------
    controller : Controller
        Knows the image and the current object.
    """

    moved = Signal()
    """Another slice is being looked at."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._seen: set[tuple[int, int]] = set()
        self._at: DoubtfulSlice | None = None

    def next(self) -> None:
        """Go to the most doubtful slice that was not looked at yet; at the end, begin again."""
        annotation = self._controller.annotation
        if annotation is None:
            return
        queue = review_queue(annotation.snapshot.objects.values())
        if not queue:
            self._at = None
            self._controller.say("Nothing is left to check: every slice is prompted or accepted.")
            return
        waiting = [entry for entry in queue if (entry.object_id, entry.index) not in self._seen]
        if not waiting:
            self._seen.clear()
            waiting = queue
        entry = waiting[0]
        self._seen.add((entry.object_id, entry.index))
        self._at = entry
        self._controller.select_object(entry.object_id)
        self._controller.actions.go_to_slice(entry.axis, entry.index)
        name = annotation.object(entry.object_id).name or f"object {entry.object_id}"
        self._controller.say(
            f"{name}, slice {entry.index}: doubt {entry.doubt:.2f}, {len(waiting) - 1} left. Accept, or correct it."
        )
        self.moved.emit()

    def accept(self) -> None:
        """Accept the slice on view for the current object, or take the acceptance back; then go on."""
        annotation = self._controller.annotation
        on_view = self.slice_on_view()
        if annotation is None or on_view is None:
            return
        obj = annotation.object(self._controller.current_object)
        axis, index = on_view
        if axis != obj.axis or index not in obj.slices:
            self._controller.say(f"Object {obj.object_id} has no mask on this slice to accept.")
            return
        locked = index in obj.locked

        def work(session: Session) -> None:
            (session.unlock_slice if locked else session.lock_slice)(obj.object_id, index)

        def done(_: None) -> None:
            self._controller.say(f"Slice {index} {'reopened' if locked else 'accepted'}.")
            reviewing = self._at is not None and (self._at.object_id, self._at.index) == (obj.object_id, index)
            if reviewing and not locked:
                self.next()

        annotation.ask(work, done)

    def slice_on_view(self) -> tuple[int, int] | None:
        """The (axis, index) that the canvas shows."""
        annotation = self._controller.annotation
        if annotation is None:
            return None
        return annotation.slice_on_view()

    def forget(self) -> None:
        """Begin anew, for another image."""
        self._seen.clear()
        self._at = None
