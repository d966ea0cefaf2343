"""Review of a slide.

The object with the lowest score first, finished with one key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.control.review_queue import ReviewQueue

if TYPE_CHECKING:
    from napari_sam2.plugin.slide.work import SlideWork

__all__ = ["SlideReview"]


class SlideReview:
    """The queue of doubtful objects, and the object looked at.

    Parameters
    ----------
    work : SlideWork
        Whose objects.
    """

    def __init__(self, work: SlideWork) -> None:
        self._work = work
        self._queue: ReviewQueue[str] = ReviewQueue()

    def next(self) -> None:
        """Go to the next doubtful object.

        The one with the lowest score that was not looked at yet; at the end, begin again.
        """
        work = self._work
        scored = (obj for obj in work.snapshot.objects if obj.score is not None and not obj.finished)
        worst_first = {obj.object_id: obj for obj in sorted(scored, key=lambda obj: obj.score or 0.0)}
        choice = self._queue.next(list(worst_first))
        if choice is None:
            work.told.emit("Nothing is left to check: every object is finished, or was drawn by hand.")
            return
        obj, left = worst_first[choice[0]], choice[1]
        now = "Now " if obj.object_id != work.current else ""
        work.go_to_object(obj.object_id)
        work.told.emit(
            f"{now}{obj.name or 'Object'}: score {obj.score:.2f}, {left} left. "
            "K declares it finished, a click corrects it."
        )

    def accept(self) -> None:
        """Declare the current object finished, and go on.

        Or all that are selected with it. Nothing changes them then; when the current one is finished, they are
        reopened.
        """
        work, obj = self._work, self._work.current_object
        if obj is None:
            work.told.emit("There is no outline to finish yet.")
            return
        finished, object_ids = not obj.finished, work.targets

        def done(_: int) -> None:
            what = f"{obj.name or 'Object'} is" if len(object_ids) == 1 else f"{len(object_ids)} objects are"
            work.told.emit(f"{what} {'finished' if finished else 'open again'}.")
            if finished and self._queue.current is not None:
                self.next()

        work.ask(lambda session: session.finish_objects(object_ids, finished), done)

    def forget(self) -> None:
        """Begin anew."""
        self._queue.forget()
