"""One inference thread per process.

Everything that touches a model or a session runs on it.

Two lanes. *Requests* (a click, a window, a save) are answered in order, a newer one taking the place of
an older one of the same kind that has not begun. A *stream* (a propagation) is advanced step by step
between requests, so that a click is answered in the middle of it. Answers come back on the main thread
through a `MainThreadQueue`; nothing here knows Qt.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from napari_sam2.plugin.background.memory import give_back

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["InferenceThread", "MainThreadQueue", "Stream"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

REST_SECONDS: Final = 2.0
"""After which the memory of the last answers is given back; between two clicks it would only be taken again."""

SHOWN_SECONDS: Final = 0.25
"""A stream is shown at most four times a second.

Without a graphics card the window is drawn on the processors that the run needs.
"""


class MainThreadQueue:
    """Answers on their way to the main thread.

    Parameters
    ----------
    wake : callable
        Called from any thread when there is something to collect; it must not block.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.wake = wake
        self._callbacks: deque[Callable[[], None]] = deque()

    def put(self, callback: Callable[[], None]) -> None:
        """Leave a function to be called on the main thread."""
        self._callbacks.append(callback)
        self.wake()

    @property
    def waiting(self) -> bool:
        """Whether something has arrived."""
        return bool(self._callbacks)

    def collect(self) -> None:
        """Call what has arrived; on the main thread only."""
        for _ in range(len(self._callbacks)):
            self._callbacks.popleft()()


@dataclass(eq=False)
class _Request:
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]
    key: Hashable | None


@dataclass(eq=False)
class Stream(Generic[T]):
    """A long run that gives its results piece by piece.

    Attributes
    ----------
    start : callable
        Begins the run, given the event that will ask it to stop; its iterator is advanced on the
        inference thread.
    each : callable
        Gets the pieces on the main thread, as many at once as have come in since the last call, at most four times a
        second and at the end. A piece that comes sooner waits for the next one.
    done : callable
        Called once at the end, also after `stop`.
    failed : callable
        Called once instead of `done` when the run raised.
    """

    start: Callable[[threading.Event], Iterator[T]]
    each: Callable[[list[T]], None]
    done: Callable[[], None]
    failed: Callable[[BaseException], None]
    stopping: threading.Event = field(default_factory=threading.Event)
    pieces: list[T] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    shown_at: float = 0.0

    def stop(self) -> None:
        """Ask the run to end after the step it is in.

        What came so far stays.
        """
        self.stopping.set()

    def take(self) -> list[T]:
        """The pieces that have not been shown yet."""
        with self.lock:
            pieces, self.pieces = self.pieces, []
            self.shown_at = time.monotonic()
        return pieces

    def show(self) -> None:
        """Show what has not been shown yet."""
        pieces = self.take()
        if pieces:
            self.each(pieces)


class InferenceThread:
    """The thread, its two lanes and its queue.

    Parameters
    ----------
    queue : MainThreadQueue
        Where answers go.
    """

    def __init__(self, queue: MainThreadQueue) -> None:
        self.queue = queue
        self._requests: deque[_Request] = deque()
        self._streams: deque[Stream[Any]] = deque()
        self._changed = threading.Condition()
        self._running = True
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="napari-sam2 inference", daemon=True)
        self._thread.start()

    def request(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
        key: Hashable | None = None,
    ) -> None:
        """Run `work` soon; `done` (or `failed`) is called on the main thread.

        A waiting request with the same `key` is replaced, and neither of its callbacks is called.
        """
        request = _Request(work, done, failed, key)
        with self._changed:
            if key is not None:
                self._requests = deque(r for r in self._requests if r.key != key)
            self._requests.append(request)
            self._changed.notify()

    def stream(
        self,
        start: Callable[[threading.Event], Iterator[T]],
        each: Callable[[list[T]], None],
        done: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> Stream[T]:
        """Run an iterator to its end between requests; streams follow one another."""
        stream = Stream(start, each, done, failed)
        with self._changed:
            self._streams.append(stream)
            self._changed.notify()
        return stream

    @property
    def idle(self) -> bool:
        """Whether nothing is running or waiting.

        Answers may still lie in the queue.
        """
        with self._changed:
            return not (self._requests or self._streams or self._busy)

    def shutdown(self, timeout: float = 5.0) -> None:
        """Stop after the current step and forget what is waiting."""
        with self._changed:
            self._running = False
            self._requests.clear()
            for stream in self._streams:
                stream.stop()
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        iterator: Iterator[Any] | None = None
        while True:
            self._rest()
            with self._changed:
                self._busy = False
                while self._running and not self._requests and not self._streams:
                    self._changed.wait()
                if not self._running:
                    return
                self._busy = True
                request = self._requests.popleft() if self._requests else None
                stream = self._streams[0] if request is None else None
            if request is not None:
                self._answer(request)
                del request
            elif stream is not None:
                iterator = self._advance(stream, iterator)
                del stream

    def _rest(self) -> None:
        """Give back memory when there was nothing to do for a while."""
        with self._changed:
            self._busy = False
            if self._requests or self._streams or not self._running or self._changed.wait(REST_SECONDS):
                return
        give_back()

    def _answer(self, request: _Request) -> None:
        try:
            answer = request.work()
        except BaseException as error:
            logger.debug("A request failed", exc_info=True)
            failed = request.failed
            self.queue.put(lambda error=error: failed(error))  # type: ignore[misc]
            return
        done = request.done
        self.queue.put(lambda: done(answer))

    def _advance(self, stream: Stream[Any], iterator: Iterator[Any] | None) -> Iterator[Any] | None:
        """One step of a stream; gives its iterator, or None when it has ended."""
        try:
            iterator = stream.start(stream.stopping) if iterator is None else iterator
            piece = next(iterator)
        except StopIteration:
            self._end(stream, stream.done)
            return None
        except BaseException as error:
            logger.debug("A stream failed", exc_info=True)
            failed = stream.failed
            self._end(stream, lambda error=error: failed(error))  # type: ignore[misc]
            return None
        now = time.monotonic()
        with stream.lock:
            stream.pieces.append(piece)
            due = now - stream.shown_at >= SHOWN_SECONDS
            if due:
                # Until it is taken, no second one is asked for.
                stream.shown_at = now
        if due:
            self.queue.put(stream.show)
        return iterator

    def _end(self, stream: Stream[Any], callback: Callable[[], None]) -> None:
        with self._changed:
            self._streams.remove(stream)
        self.queue.put(stream.show)
        self.queue.put(callback)
