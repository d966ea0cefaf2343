"""Who works on which case.

One case at a time for every living worker, and blame where it belongs.

A window of tasks over a pool is not enough: when a worker dies, its successor's case is easily blamed for it.
Here a case is pinned to one worker, so that a worker that dies has been working on exactly one case. A case that
takes its worker with it as often as it may be tried is given up by name; all others go on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.case import give_up, run_case
from napari_sam2.cohort.state import FAILED
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.models.threads import wait_asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_sam2.cohort.case import Outcome
    from napari_sam2.cohort.job import CaseJob

__all__ = ["run_here", "run_on_cluster"]

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.1
"""How long a lost worker may go unnoticed; a finished case is noticed at once."""

PATIENCE_SECONDS: Final = 120
"""How long to wait for a worker when there is none."""

RESULT_SECONDS: Final = 30
"""How long a short result may take to come from its worker."""

LOST: Final = "Its worker died while it worked on it, {tries} of {tries} times: a crash, or too little memory{limit}."


class _Queue:
    """Cases that wait, and how often each was tried."""

    def __init__(self, jobs: Sequence[CaseJob], retries: int) -> None:
        self._todo = deque(jobs)
        self._tries: dict[str, int] = {}
        self._retries = retries

    def __bool__(self) -> bool:
        return bool(self._todo)

    def take(self) -> CaseJob:
        return self._todo.popleft()

    def settle(self, job: CaseJob, outcome: Outcome | None) -> Outcome | None:
        """What became of a case; None when it will be tried again. No outcome means that its worker died."""
        tries = self._tries[job.case] = self._tries.get(job.case, 0) + 1
        again = outcome is None or (outcome["state"] == FAILED and outcome.get("retry", False))
        if again and tries <= self._retries:
            self._todo.append(job)  # at the end: what struck this worker may have passed by then
            return None
        if outcome is not None:
            return outcome
        minutes = job.settings.limit
        return give_up(
            job, LOST.format(tries=tries, limit=f", or more than {minutes:g} minutes" if minutes else ""), tries
        )


def run_here(jobs: Sequence[CaseJob], *, retries: int = 1, threads: int = 0) -> Iterator[Outcome]:
    """Do cases one after the other, without a scheduler.

    In one process of their own.

    Parameters
    ----------
    jobs : sequence of CaseJob
        What to do.
    retries : int
        How often a case is tried again that took the process with it or failed for want of something.
    threads : int
        Threads of that process; 0 leaves it to PyTorch.

    Yields
    ------
    Outcome
        Of each case, as it is settled.
    """
    queue = _Queue(jobs, retries)
    pool = _fresh_process()
    try:
        while queue:
            job = queue.take()
            try:
                outcome: Outcome | None = pool.submit(run_case, job, threads).result()
            except BrokenProcessPool:
                outcome = None
                pool.shutdown()
                pool = _fresh_process()
            settled = queue.settle(job, outcome)
            if settled is not None:
                yield settled
    finally:
        pool.shutdown(cancel_futures=True)


def _fresh_process() -> ProcessPoolExecutor:
    """A new interpreter, so that nothing of this process (a window, threads) is copied into it.

    Raises
    ------
    EnvironmentLacksError
        If it does not start, which no case is to blame for.
    """
    wait_asleep()
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        pool.submit(int).result()
    except BrokenProcessPool as error:
        raise EnvironmentLacksError(
            "A further process could not start; in a script, put the call under 'if __name__ == \"__main__\":'."
        ) from error
    return pool


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went: the pool alone would wait for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_on_cluster(
    client: Any,
    jobs: Sequence[CaseJob],
    *,
    retries: int = 1,
    say: Callable[[str], None] = lambda sentence: None,
    patience: float = PATIENCE_SECONDS,
    queued: str = "",
) -> Iterator[Outcome]:
    """Do cases on the workers of a dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    jobs, retries
        As in `run_here`.
    say : callable
        Told what a person should know, a sentence at a time.
    patience : float
        Seconds to wait for a worker when there is none.
    queued : str
        Where workers wait in a queue, which may take hours: what to say instead of giving up.

    Yields
    ------
    Outcome
        Of each case, as it is settled.

    Raises
    ------
    EnvironmentLacksError
        If the scheduler is gone, or no worker comes in time.
    """
    floor = _Floor(client, _Queue(jobs, retries))
    try:
        while floor.has_work:
            floor.hand_out()
            if floor.seconds_alone > patience:
                if not queued:
                    raise EnvironmentLacksError(
                        f"There has been no worker for {patience:g} s; start some and run the same command again: what "
                        "is done is kept."
                    )
                say(queued)
                patience *= 10
            floor.pause()
            for job, outcome in floor.collect():
                if outcome is None:
                    say(f"a worker died while it worked on case {job.case}")
                settled = floor.queue.settle(job, outcome)
                if settled is not None:
                    yield settled
    finally:
        floor.cancel()


class _Floor:
    """The workers of a cluster, and which case each of them has."""

    def __init__(self, client: Any, queue: _Queue) -> None:
        self.queue = queue
        self._client = client
        self._busy: dict[Any, tuple[str, CaseJob]] = {}
        self._live: set[str] = set()
        self._alone_since: float | None = None

    @property
    def has_work(self) -> bool:
        return bool(self.queue or self._busy)

    @property
    def seconds_alone(self) -> float:
        """For how long there has been no worker."""
        return 0.0 if self._alone_since is None else time.monotonic() - self._alone_since

    def hand_out(self) -> None:
        """Give every living worker that has no case the next one."""
        self._live = _live_workers(self._client)
        for worker in self._live - {worker for worker, _ in self._busy.values()}:
            if self.queue:
                job = self.queue.take()
                self._busy[_pinned(self._client, job, worker)] = worker, job
        if self._live:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()

    def pause(self) -> None:
        """Wait until a case is finished, but not for long: a worker may have gone or come."""
        from distributed import TimeoutError as NothingYet
        from distributed import wait

        if not self._busy:
            time.sleep(POLL_SECONDS)
            return
        # Cancelled by dask itself when the scheduler is lost, which `collect` finds out.
        with contextlib.suppress(NothingYet, CancelledError):
            wait(list(self._busy), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")

    def collect(self) -> Iterator[tuple[CaseJob, Outcome | None]]:
        """Cases that are over; without an outcome where the worker died."""
        for future, (worker, job) in list(self._busy.items()):
            # Asked again, since a worker or the whole scheduler may have gone while we waited.
            if future.status == "pending" and (worker in self._live or worker in _live_workers(self._client)):
                continue
            if future.status != "finished":
                _live_workers(self._client)
            del self._busy[future]
            yield job, _outcome_of(future, job)

    def cancel(self) -> None:
        """Take back what is still being worked on."""
        for future in self._busy:
            future.cancel(force=True)


def _pinned(client: Any, job: CaseJob, worker: str) -> Any:
    # The key is dask's own: a case's name stays out of its logs.
    return client.submit(_run_on_worker, job, workers=[worker], allow_other_workers=False, pure=False, retries=0)


def _run_on_worker(job: CaseJob) -> Outcome:
    from distributed import get_worker

    return run_case(job, get_worker().state.nthreads)


def _live_workers(client: Any) -> set[str]:
    try:
        if client.status != "running":
            raise OSError
        return set(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, TimeoutError) as error:
        raise EnvironmentLacksError(
            "The scheduler is gone; start it and run the same command again: what is done is kept."
        ) from error


def _outcome_of(future: Any, job: CaseJob) -> Outcome | None:
    """What a worker gave back; None when it died."""
    if future.status == "finished":
        try:
            outcome: Outcome = future.result(timeout=RESULT_SECONDS)
        except (OSError, TimeoutError, CancelledError):
            return None  # its worker died right after; the next try finds the case done
        return outcome
    if future.status == "error":
        error = future.exception()
        if type(error).__name__ != "KilledWorker":
            # `run_case` never raises: the worker could not even begin, for example for want of this package.
            logger.debug("case %s", job.case, exc_info=error)
            return {
                "case": job.case,
                "state": FAILED,
                "error": f"Its worker could not begin ({type(error).__name__}); is the same version installed there?",
                "kind": "machine",
                "retry": True,
            }
    future.cancel(force=True)
    return None
