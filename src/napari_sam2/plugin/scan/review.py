"""Review of a scan.

The worst slice first, accepted with one key, corrected with a click that spreads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.control.review_queue import ReviewQueue
from napari_sam2.session.review import review_queue

if TYPE_CHECKING:
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["ScanReview"]


class ScanReview:
    """The queue of doubtful slices, and the slice looked at.

    Parameters
    ----------
    work : ScanWork
        Whose slices.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._queue: ReviewQueue[tuple[int, int]] = ReviewQueue()

    def next(self) -> None:
        """Go to the most doubtful slice that was not looked at yet.

        At the end, begin again.
        """
        work = self._work
        entries = {(e.object_id, e.index): e for e in review_queue(work.snapshot.objects.values())}
        choice = self._queue.next(list(entries))
        if choice is None:
            work.told.emit("Nothing is left to check: every slice is prompted or accepted.")
            return
        entry, left = entries[choice[0]], choice[1]
        changes_object = entry.object_id != work.current
        work.select(entry.object_id)
        work.view.go_to(entry.axis, entry.index)
        name = work.name_of(entry.object_id)
        now = f"Now {name}" if changes_object else name
        work.told.emit(f"{now}, slice {entry.index}: doubt {entry.doubt:.2f}, {left} left. Accept, or correct it.")

    def accept(self) -> None:
        """Accept the slice on view for the current object, or reopen it.

        Then go on.
        """
        work, on_view = self._work, self._work.view.slice()
        if on_view is None:
            return
        obj, (axis, index) = work.current_object, on_view
        if axis != obj.axis or index not in obj.slices:
            work.told.emit(f"Object {obj.object_id} has no mask on this slice to accept.")
            return
        accepted = index in obj.accepted

        def change(session: Session) -> None:
            (session.reopen_slice if accepted else session.accept_slice)(obj.object_id, index)

        def done(_: None) -> None:
            work.told.emit(f"Slice {index} {'reopened' if accepted else 'accepted'}.")
            if not accepted and self._queue.current == (obj.object_id, index):
                self.next()

        work.ask(change, done)

    def forget(self) -> None:
        """Begin anew."""
        self._queue.forget()
