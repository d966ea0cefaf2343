"""Turns at the model: clicks before slices, clients in rotation.

A *click* is one piece of work with an answer. A *run* is advanced one result at a time, and only while no click waits
and whoever reads it keeps up. Clients take turns, and so do the runs of one client.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Run", "Turns"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(eq=False)
class Run:
    """A long run that gives frames piece by piece.

    Attributes
    ----------
    frames : iterator of bytes
        Advanced at the model's thread; an empty frame is work without a word.
    put : callable
        Given every frame, at that thread; None once the run is over.
    failed : callable
        Given the exception that ended the run, before that None; makes the last frame.
    has_room : callable
        Whether whoever reads keeps up.
    """

    frames: Iterator[bytes]
    put: Callable[[bytes | None], None]
    failed: Callable[[Exception], bytes]
    has_room: Callable[[], bool]
    stopping: threading.Event = field(default_factory=threading.Event)


class Turns:
    """The thread and its two kinds of work."""

    def __init__(self) -> None:
        self._clicks: OrderedDict[str, deque[tuple[Callable[[], Any], Future[Any]]]] = OrderedDict()
        self._runs: OrderedDict[str, deque[Run]] = OrderedDict()
        self._changed = threading.Condition()
        self._open = True
        self.last_step = 0.0
        """Seconds of the last step of a run: what a click that came meanwhile had to wait for."""
        self._thread = threading.Thread(target=self._work, name="napari-sam2 model", daemon=True)
        self._thread.start()

    def click(self, client: str, work: Callable[[], T]) -> Future[T]:
        """Do some work before any further slice of anybody's run."""
        future: Future[T] = Future()
        with self._changed:
            self._clicks.setdefault(client, deque()).append((work, future))
            self._changed.notify()
        return future

    def run(self, client: str, run: Run) -> None:
        """Advance a run whenever it is its turn."""
        with self._changed:
            self._runs.setdefault(client, deque()).append(run)
            self._changed.notify()

    def wake(self) -> None:
        """Look again: a run has room, or is to stop."""
        with self._changed:
            self._changed.notify()

    @property
    def waiting(self) -> tuple[int, int]:
        """Clicks and runs that are waiting or under way."""
        with self._changed:
            return sum(map(len, self._clicks.values())), sum(map(len, self._runs.values()))

    def running(self, client: str) -> int:
        """Runs of a client."""
        with self._changed:
            return len(self._runs.get(client, ()))

    def close(self, timeout: float = 5.0) -> None:
        """End after the step that is under way."""
        with self._changed:
            self._open = False
            for runs in self._runs.values():
                for run in runs:
                    run.stopping.set()
            self._changed.notify()
        self._thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                click, chosen = self._next_click(), None
                if click is None:
                    chosen = self._next_run()
                if click is None and chosen is None:
                    if not self._open:
                        return
                    self._changed.wait()
                    continue
            if click is not None:
                _answer(*click)
            elif chosen is not None:
                self._advance(*chosen)

    def _next_click(self) -> tuple[Callable[[], Any], Future[Any]] | None:
        if not self._clicks:
            return None
        client, waiting = next(iter(self._clicks.items()))
        click = waiting.popleft()
        if waiting:
            self._clicks.move_to_end(client)
        else:
            del self._clicks[client]
        return click

    def _next_run(self) -> tuple[str, Run] | None:
        for client, runs in self._runs.items():
            for run in runs:
                if run.stopping.is_set() or run.has_room():
                    self._runs.move_to_end(client)
                    runs.remove(run)
                    runs.append(run)
                    return client, run
        return None

    def _advance(self, client: str, run: Run) -> None:
        if run.stopping.is_set():
            self._finish(client, run)
            return
        started = time.perf_counter()
        try:
            frame = next(run.frames, None)
        except Exception as error:  # whatever it is, the run is over and everybody else's goes on
            frame = None
            run.put(run.failed(error))
        self.last_step = time.perf_counter() - started
        if frame is None:
            self._finish(client, run)
        elif frame:
            run.put(frame)

    def _finish(self, client: str, run: Run) -> None:
        with self._changed:
            runs = self._runs[client]
            runs.remove(run)
            if not runs:
                del self._runs[client]
        close = getattr(run.frames, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()
        run.put(None)


def _answer(work: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = work()
    except Exception as error:  # told to whoever asked
        future.set_exception(error)
    else:
        future.set_result(answer)
