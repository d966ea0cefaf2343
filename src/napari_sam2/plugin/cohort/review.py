"""The review of a cohort, slice by slice.

One doubtful slice after the other, whichever case it is in.

Each case is opened with its own session, so that what is accepted or corrected is in its journal; its label map is
written again when another case follows. It knows no Qt.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from psygnal import Signal

from napari_sam2.cohort.job import LABELS, SESSION
from napari_sam2.cohort.plan import images_of
from napari_sam2.cohort.review import ACCEPTED, FLAGGED, ReviewItem, decide, review_items
from napari_sam2.errors import UserInputError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.plugin.reader import image_layer
from napari_sam2.plugin.scan.work import ScanWork
from napari_sam2.record.listing import look_at
from napari_sam2.record.save import save_session

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.core.volume import Volume
    from napari_sam2.plugin.control.controller import Controller
    from napari_sam2.session.session import Session

__all__ = ["CohortReview"]


class CohortReview:
    """The queue of a cohort, and the slice looked at.

    Parameters
    ----------
    controller : Controller
        Of the viewer in which cases are shown.
    output : Path
        The folder of the cohort.
    by : str
        See `napari_sam2.cohort.review.review_items`.

    Attributes
    ----------
    item : ReviewItem, optional
        What is looked at; None before the first and after the last one.
    shown : bool
        Whether it is on view, so that a decision can be made.

    Raises
    ------
    UserInputError
        If the folder holds no cohort, or its images are not found.
    """

    changed = Signal()
    """Another slice is looked at, or it has come on view."""

    def __init__(self, controller: Controller, output: Path, by: str = "doubt") -> None:
        self.item: ReviewItem | None = None
        self.shown = False
        self._controller = controller
        self._output = output
        self._waiting = review_items(output, by)
        self._images = images_of(output)
        self._work: ScanWork | None = None
        self._case = ""
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="napari-sam2 next case")
        self._read: dict[str, Future[Volume]] = {}
        controller.workspace.image_changed.connect(self._on_image)

    @property
    def left(self) -> int:
        """Slices that wait behind this one."""
        return len(self._waiting)

    def next(self) -> None:
        """Go to the next slice.

        What was not decided on comes again in the next review.
        """
        if not self._waiting:
            self._leave()
            self.item = None
            self._controller.workspace.say("The review is at its end: every doubtful slice was looked at.")
            self.changed.emit()
            return
        self.item = self._waiting.pop(0)
        if self.item.case == self._case and self._work is not None:
            self._show()
        else:
            self._open(self.item.case)
        self._read_ahead()

    def accept(self) -> None:
        """Accept the mask, and go on.

        As it is, or as it was corrected.
        """
        item, work = self.item, self._work
        if item is None or work is None:
            return

        def accept(session: Session) -> None:
            if item.object_id in session.objects:
                session.accept_slice(item.object_id, item.index)

        work.ask(accept, lambda _: self._decided(item, ACCEPTED))

    def flag(self) -> None:
        """Leave the slice to somebody else, and go on."""
        if self.item is not None:
            self._decided(self.item, FLAGGED)

    def close(self) -> None:
        """Save the case that is open, and stop reading ahead."""
        self._leave()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _decided(self, item: ReviewItem, decision: str) -> None:
        decide(self._output, item, decision)
        self.next()

    def _open(self, case: str) -> None:
        self._leave()
        self._case = case
        self.shown = False
        self.changed.emit()
        workspace = self._controller.workspace
        workspace.say(f"Opening case {case} ...")
        coming = self._volume(case)

        def opened(volume: Volume) -> None:
            if case == self._case:
                array, arguments, kind = image_layer(volume)
                layer: Any = workspace.viewer.add_layer(Layer.create(array, {**arguments, "name": case}, kind))
                self._controller.use_image(layer)

        # Waited for where it does not hold up the window.
        workspace.thread.request(coming.result, opened, self._not_opened)

    def _not_opened(self, error: BaseException) -> None:
        self._case = ""
        self.shown = True
        self._controller.workspace.fail(str(error))
        self.changed.emit()

    def _on_image(self) -> None:
        """The work on a case has begun: bring its own session back, then show the slice."""
        work = self._controller.work
        if not isinstance(work, ScanWork) or work is self._work or work.image.name != self._case:
            return
        self._work = work
        note = look_at(self._output / self._case / SESSION)
        if note is None:
            self.shown = True
            work.told.emit(f"The session of case {self._case} is open in another window, or gone; press Next.")
            self.changed.emit()
            return
        work.earlier = None
        work.ask(lambda session: work.autosave.resume(session, note), lambda _: self._show())

    def _show(self) -> None:
        item, work = self.item, self._work
        if item is None or work is None:
            return
        self._go()
        self.shown = True
        work.told.emit(
            f"Case {item.case}, {item.name}, slice {item.index}: doubt {item.doubt:.2f}, {self.left} left. Accept, "
            "correct with a click and accept, or flag it."
        )
        self.changed.emit()

    def _go(self) -> None:
        """Bring the slice on view."""
        if self.item is not None and self._work is not None:
            self._work.select(self.item.object_id)
            self._work.view.go_to(self.item.axis, self.item.index)

    def _leave(self) -> None:
        """Write the open case's label map if it has changed, and take its layers away."""
        work, folder = self._work, self._output / self._case
        self._work, self._case = None, ""
        if work is None:
            return
        workspace = self._controller.workspace
        session = work.stream_session()
        if session is not None:
            workspace.thread.request(
                lambda: _keep(session, folder), lambda _: None, lambda error: workspace.fail(str(error))
            )
        # Before the next case comes: hidden layers that went later now and then ended the process in OpenGL.
        if workspace.has_viewer:
            # One by one, though napari collects garbage for each, which is half of what the next case costs: removed at
            # once, or with less to collect, a drawing by Mesa's software renderer ended the process every few cases.
            for layer in (work.image, *work.layers):
                if layer in workspace.viewer.layers:
                    workspace.viewer.layers.remove(layer)

    def _read_ahead(self) -> None:
        """Read the next case's scan while this one is looked at; forget all others."""
        following = next((item.case for item in self._waiting if item.case != self._case), None)
        self._read = {case: self._volume(case) for case in (self._case, following) if case}

    def _volume(self, case: str) -> Future[Volume]:
        if case not in self._read:
            self._read[case] = self._reader.submit(_read, self._images.get(case))
        return self._read[case]


def _read(image: Path | None) -> Volume:
    if image is None:
        raise UserInputError("The manifest has no such case any more; press Next.")
    return read_volume(image)


def _keep(session: Session, folder: Path) -> None:
    """Write a session's label map over the case's, where they differ."""
    target = folder / LABELS
    if not np.array_equal(read_labels(target, session.volume), session.label_map()):
        save_session(session, target, overwrite=True, settings={"reviewed": True})
