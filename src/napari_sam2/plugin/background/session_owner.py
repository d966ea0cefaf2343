"""The owner of a session on the inference thread.

Work on a session goes there, the session's new state comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from psygnal import Signal

from napari_sam2.errors import NapariSam2Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.background.worker import InferenceThread

__all__ = ["SessionOwner"]

T = TypeVar("T")
SnapshotT = TypeVar("SnapshotT")
SnapshotT_co = TypeVar("SnapshotT_co", covariant=True)


class _Session(Protocol[SnapshotT_co]):
    def snapshot(self) -> SnapshotT_co: ...


SessionT = TypeVar("SessionT", bound=_Session)  # type: ignore[type-arg]


@dataclass(frozen=True, slots=True)
class _Reply(Generic[T, SnapshotT]):
    """What a request gave or raised, and the session after it."""

    answer: T | None
    error: Exception | None
    snapshot: SnapshotT


class SessionOwner(Generic[SessionT, SnapshotT]):
    """Owns a session for the inference thread.

    Its latest snapshot is on the main thread.

    Parameters
    ----------
    session : session
        Touched on the inference thread only from now on.
    thread : InferenceThread
        Runs the requests.
    """

    failed = Signal(str)
    """Something did not work; a sentence with the next step."""

    def __init__(self, session: SessionT, thread: InferenceThread) -> None:
        self.snapshot: SnapshotT = session.snapshot()
        self.closed = False
        self._session: SessionT | None = session
        self._thread = thread

    def show(self, snapshot: SnapshotT) -> None:
        """Take over a newer snapshot."""
        self.snapshot = snapshot

    def fail(self, error: BaseException) -> None:
        """Say what did not work."""
        if not self.closed:
            self.failed.emit(_sentence(error))

    def ask(
        self,
        work: Callable[[SessionT], T],
        done: Callable[[T], None] = lambda _: None,
        key: str | None = None,
        failed: Callable[[BaseException], None] | None = None,
        arrived: Callable[[], None] = lambda: None,
    ) -> None:
        """Do something with the session.

        Then show its new state, also when it failed, and call `done`.

        Parameters
        ----------
        work : callable
            Gets the session, on the inference thread.
        done : callable
            Gets what `work` returned, after the new state is shown.
        key : str, optional
            A waiting request of the same key is replaced.
        failed : callable
            Gets the error instead of `done`; by default `fail`.
        arrived : callable
            Called just before the new state is shown, whatever came out.
        """
        tell = failed or self.fail

        def run() -> _Reply[T, SnapshotT] | None:
            session = self._session
            if session is None:
                return None
            try:
                answer = work(session)
            except Exception as error:  # told on the main thread, with the state in which it left the session
                return _Reply(None, error, session.snapshot())
            return _Reply(answer, None, session.snapshot())

        def finish(reply: _Reply[T, SnapshotT] | None) -> None:
            if reply is None or self.closed:
                return
            arrived()
            self.show(reply.snapshot)
            if reply.error is None:
                done(reply.answer)  # type: ignore[arg-type]
            else:
                tell(reply.error)

        def lost(error: BaseException) -> None:
            arrived()
            tell(error)

        self._thread.request(run, finish, lost, None if key is None else (id(self), key))

    def ask_quietly(self, work: Callable[[SessionT], T], done: Callable[[T], None], key: str | None = None) -> None:
        """Ask something that changes nothing.

        An error is dropped, since nothing waits for the answer.
        """

        def run() -> tuple[T] | None:
            return None if self._session is None else (work(self._session),)

        def finish(answer: tuple[T] | None) -> None:
            if answer is not None and not self.closed:
                done(answer[0])

        self._thread.request(run, finish, lambda _: None, None if key is None else (id(self), key))

    def stream_session(self) -> SessionT | None:
        """The session, for a run on the inference thread.

        None when this is closed.
        """
        return self._session


def _sentence(error: BaseException) -> str:
    """An error for the user; of a path only the last part is named."""
    if isinstance(error, NapariSam2Error):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        name = f"{Path(error.filename).name}: " if isinstance(error.filename, str) else ""
        return f"{name}{error.strerror}. Your work is kept."
    return f"Something unexpected happened ({type(error).__name__}: {error}). Your work is kept."
