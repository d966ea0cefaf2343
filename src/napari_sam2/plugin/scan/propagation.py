"""Propagation of a scan's objects in the background: started, watched, stopped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_sam2.core.slice_masks import SliceResult
from napari_sam2.plugin.control.progress import Progress
from napari_sam2.session.snapshot import SessionSnapshot
from napari_sam2.session.triplanar import TriplanarCheck, Visited, check_steps

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam2.plugin.background.worker import Stream
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["Propagation"]

Piece = int | SliceResult | Visited | SessionSnapshot | TriplanarCheck
"""What a run gives: the number of slices first, then results, at the end the session's new state.

A check changes nothing: it gives the slices that it has passed, and at the end what it found.
"""


class Propagation:
    """At most one run at a time.

    Parameters
    ----------
    work : ScanWork
        Whose objects are carried.
    """

    progressed = Signal(object)
    """A `Progress`, or None at the end of a run."""

    finished = Signal(int, float, bool)
    """Slices visited, seconds taken, whether it was stopped."""

    checked = Signal(object)
    """The `TriplanarCheck` at the end of a check."""

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._stream: Stream[Piece] | None = None
        self._done = self._total = self._passed = 0
        self._began = 0.0

    @property
    def running(self) -> bool:
        """Whether a run goes on."""
        return self._stream is not None

    def start(self, object_ids: Sequence[int], direction: str = "both", slices: range | None = None) -> None:
        """Carry objects through the volume; nothing happens while another run goes on."""

        def run(session: Session, stopping: threading.Event) -> Iterator[Piece]:
            yield session.count_slices(object_ids, slices, direction)
            yield from session.propagate(object_ids, slices=slices, direction=direction, should_stop=stopping.is_set)

        self._start(run)

    def spread(self, object_id: int, indices: Sequence[int], slices: range | None = None) -> None:
        """Carry corrected slices outwards, when nothing else runs.

        As far as they change something.
        """

        def run(session: Session, stopping: threading.Event) -> Iterator[Piece]:
            for index in indices:
                if not stopping.is_set() and object_id in session.objects:
                    yield from session.spread(object_id, index, slices=slices, should_stop=stopping.is_set)

        self._start(run)

    def check(self, object_id: int) -> None:
        """Carry an object along all three axes and compare.

        Nothing of it is changed.
        """

        def run(session: Session, stopping: threading.Event) -> Iterator[Piece]:
            yield sum(session.volume.shape)
            yield from check_steps(session, object_id, stopping.is_set)

        self._start(run)

    def stop(self) -> None:
        """End the run after the slice it is at.

        What is there stays.
        """
        if self._stream is not None:
            self._stream.stop()

    def _start(self, steps: Callable[[Session, threading.Event], Iterator[Piece]]) -> None:
        if self.running:
            return
        work = self._work

        def run(stopping: threading.Event) -> Iterator[Piece]:
            session = work.stream_session()
            if session is None:
                return
            try:
                yield from steps(session, stopping)
            except Exception:
                # The screen shows what the session holds, also after a run that broke off.
                yield session.snapshot()
                raise
            yield session.snapshot()

        self._done = self._total = self._passed = 0
        self._began = time.monotonic()
        self._stream = work.stream(run, self._show, self._end, self._fail)
        self.progressed.emit(Progress(0, 0))

    def _show(self, pieces: list[Piece]) -> None:
        work = self._work
        if work.closed:
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
                work.show(piece)
        self._done += len(results)
        if results:
            work.show_results(results)
        spent = time.monotonic() - self._began
        done = self._done + self._passed
        left = (self._total - done) * spent / done if done and self._total else float("nan")
        self.progressed.emit(Progress(done, self._total, left))

    def _end(self) -> None:
        stopped = self._stream is not None and self._stream.stopping.is_set()
        self._stream = None
        self.progressed.emit(None)
        self.finished.emit(self._done, time.monotonic() - self._began, stopped)

    def _fail(self, error: BaseException) -> None:
        self._end()
        self._work.fail(error)
