"""Propagation as the panel runs it: started, watched and stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_sam2.core.slice_masks import SliceResult
from napari_sam2.session.snapshot import SessionSnapshot
from napari_sam2.session.triplanar import TriplanarCheck, Visited, check_steps

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam2.plugin.background.worker import InferenceThread, Stream
    from napari_sam2.plugin.scan.work import Annotation

__all__ = ["Progress", "Propagation"]

Piece = int | SliceResult | Visited | SessionSnapshot | TriplanarCheck
"""What a run gives: the number of slices first, then results, at the end the session's new state.

A check changes nothing: it gives the slices that it has passed, and at the end what it found.
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total : int
        Slices visited, and at most to be visited.
    seconds_left : float
        At the present pace; an object that ends earlier ends the run earlier.
    """

    done: int
    total: int
    seconds_left: float


class Propagation:
    """At most one run at a time.

    Parameters
    ----------
    thread : InferenceThread
        Who does the work.
    """

    progressed = Signal(object)
    """A `Progress`."""

    finished = Signal(int, float, bool)
    """Slices visited, seconds taken, whether it was stopped."""

    checked = Signal(object)
    """The `TriplanarCheck` at the end of a check."""

    def __init__(self, thread: InferenceThread) -> None:
        self._thread = thread
        self._stream: Stream[Piece] | None = None
        self._annotation: Annotation | None = None
        self._done = self._total = self._passed = 0
        self._began = 0.0

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._stream is not None

    def start(
        self, annotation: Annotation, object_ids: Sequence[int], direction: str = "both", slices: range | None = None
    ) -> None:
        """Carry objects through the volume; one after another when a run goes on already."""
        if self.running:
            return

        def run(stopping: threading.Event) -> Iterator[Piece]:
            session = annotation.stream_session()
            if session is None:
                return
            yield session.count_slices(object_ids, slices, direction)
            yield from session.propagate(object_ids, slices=slices, direction=direction, should_stop=stopping.is_set)
            yield session.snapshot()

        self._start(annotation, run)

    def spread(
        self, annotation: Annotation, object_id: int, indices: Sequence[int], slices: range | None = None
    ) -> None:
        """Carry corrected slices outwards as far as they change something, when nothing else runs."""
        if self.running:
            return

        def run(stopping: threading.Event) -> Iterator[Piece]:
            session = annotation.stream_session()
            if session is None:
                return
            for index in indices:
                if not stopping.is_set() and object_id in session.objects:
                    yield from session.spread(object_id, index, slices=slices, should_stop=stopping.is_set)
            yield session.snapshot()

        self._start(annotation, run)

    def check(self, annotation: Annotation, object_id: int) -> None:
        """Carry an object along all three axes and compare; nothing of it is changed."""

        def run(stopping: threading.Event) -> Iterator[Piece]:
            session = annotation.stream_session()
            if session is None:
                return
            yield sum(session.volume.shape)
            yield from check_steps(session, object_id, stopping.is_set)

        self._start(annotation, run)

    def stop(self) -> None:
        """End the run after the slice it is at; what is there stays."""
        if self._stream is not None:
            self._stream.stop()

    def _start(self, annotation: Annotation, run: Callable[[threading.Event], Iterator[Piece]]) -> None:
        self._annotation, self._done, self._total, self._began = annotation, 0, 0, time.monotonic()
        self._passed = 0
        self._stream = self._thread.stream(run, self._show, self._end, self._fail)
        self.progressed.emit(Progress(0, 0, float("nan")))

    def _show(self, pieces: list[Piece]) -> None:
        annotation = self._annotation
        if annotation is None or annotation.closed:
            self.stop()
            return
        results: list[SliceResult] = []
        for piece in pieces:
            if isinstance(piece, SliceResult):
                results.append(piece)
            elif isinstance(piece, int):
                self._total = piece
            elif isinstance(piece, Visited):
                self._passed += 1
            elif isinstance(piece, TriplanarCheck):
                self.checked.emit(piece)
            else:
                self._done += len(results)
                results = []
                annotation.show(piece)
        self._done += len(results)
        if results:
            annotation.show_results(results)
        spent = time.monotonic() - self._began
        done = self._done + self._passed
        left = (self._total - done) * spent / done if done and self._total else float("nan")
        self.progressed.emit(Progress(done, self._total, left))

    def _end(self) -> None:
        stopped = self._stream is not None and self._stream.stopping.is_set()
        self._stream = self._annotation = None
        self.finished.emit(self._done, time.monotonic() - self._began, stopped)

    def _fail(self, error: BaseException) -> None:
        annotation = self._annotation
        self._end()
        if annotation is not None:
            annotation.fail(error)
