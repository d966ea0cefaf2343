"""Asking: work on a session goes to the inference thread, its answer and the session's new state come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from psygnal import Signal

from napari_sam2.errors import NapariSam2Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.plugin.background.worker import InferenceThread

__all__ = ["Asking"]

T = TypeVar("T")


class _Session(Protocol):
    def snapshot(self) -> Any: ...


SessionT = TypeVar("SessionT", bound=_Session)
SnapshotT = TypeVar("SnapshotT")


class Asking(Generic[SessionT, SnapshotT]):
    """Owns a session on behalf of the inference thread, and its latest snapshot on the main thread.

    Parameters
    ----------
    session : session
        Touched on the inference thread only from now on.
    thread : InferenceThread
        Who does the work.
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
        """Say what did not work, and go back to what the session holds."""
        if self.closed:
            return
        self._put_back()
        if isinstance(error, NapariSam2Error):
            self.failed.emit(str(error))
            return
        self.failed.emit(f"Something unexpected happened ({type(error).__name__}: {error}). Your work is kept.")

    def _put_back(self) -> None:
        """Show what the session holds instead of what was asked for."""
        raise NotImplementedError

    def ask(
        self,
        work: Callable[[SessionT], T],
        done: Callable[[T], None] = lambda _: None,
        key: str | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Do something with the session; then show its new state and tell `done`.

        A waiting request of the same `key` is replaced. An error goes to `failed`, by default `fail`.
        """

        def run() -> tuple[T, SnapshotT] | None:
            session = self._session
            return None if session is None else (work(session), session.snapshot())

        def finish(answer: tuple[T, SnapshotT] | None) -> None:
            if answer is not None and not self.closed:
                self.show(answer[1])
                done(answer[0])

        self._thread.request(run, finish, failed or self.fail, None if key is None else (id(self), key))

    def ask_quietly(self, work: Callable[[SessionT], T], done: Callable[[T], None], key: str | None = None) -> None:
        """Ask something that changes nothing; an error is dropped, since nobody waits for the answer."""

        def run() -> tuple[T] | None:
            return None if self._session is None else (work(self._session),)

        def finish(answer: tuple[T] | None) -> None:
            if answer is not None and not self.closed:
                done(answer[0])

        self._thread.request(run, finish, lambda _: None, None if key is None else (id(self), key))

    def stream_session(self) -> SessionT | None:
        """The session, for a run on the inference thread; None when this is closed."""
        return self._session
