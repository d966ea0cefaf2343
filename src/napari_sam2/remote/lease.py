"""A lease: one client's place on a server, and its heartbeat.

Everything that the server holds for a lease can be made again from what is here, so losing it costs time and nothing
else: a restart, an eviction and a laptop that slept are all answered by sending again what is asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import secrets
import threading
import time
import weakref
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, TypeVar

from napari_sam2.errors import EnvironmentLacksError, ServerAwayError
from napari_sam2.remote.answers import Refused, ServerGone
from napari_sam2.remote.connection import wait_a_little

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_sam2.remote.connection import Connection
    from napari_sam2.remote.recipes import Recipe
    from napari_sam2.remote.tunnel import Tunnel

__all__ = ["Lease"]

T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 15.0

MOST_VOLUMES: Final = 256
"""That a heartbeat tells of; a slide is looked at crop by crop, and each is a volume."""

logger = logging.getLogger(__name__)


class Lease:
    """A place on a server.

    Parameters
    ----------
    connection : Connection
        The way there.
    token : str
        Names volumes, see `napari_sam2.remote.pieces.key_of`.
    patience : float
        Seconds for which a server that is away is waited for.
    """

    def __init__(self, connection: Connection, token: str, patience: float) -> None:
        self.connection = connection
        self.token = token
        self.patience = patience
        self.id = secrets.token_hex(16)
        self.say: Callable[[str], None] = lambda note: None
        """Told in a sentence when the server goes away and comes back; from any thread."""
        self.way: Tunnel | None = None
        """Closed with the lease."""
        self.recipes: weakref.WeakValueDictionary[int, Recipe] = weakref.WeakValueDictionary()
        self._keys = itertools.count(1)
        self._forgotten: deque[int] = deque()
        self._volumes: Counter[str] = Counter()
        self._closed = threading.Event()
        self._beating: threading.Thread | None = None
        self._away = False

    def new_key(self) -> int:
        """The name of a new anchor."""
        return next(self._keys)

    def forget(self, key: int) -> None:
        """Let the server forget an anchor, with the next heartbeat."""
        self._forgotten.append(key)

    def holds(self, volume: str) -> None:
        """Somebody here needs a volume, until `releases` says otherwise."""
        self._volumes[volume] += 1

    def releases(self, volume: str) -> None:
        """Let the server forget a volume that nobody here needs.

        It is said with the next heartbeat.
        """
        self._volumes[volume] -= 1

    def patiently(
        self, work: Callable[[], T], should_stop: Callable[[], bool] = lambda: False, patience: float | None = None
    ) -> T:
        """What `work` gives, asked again while the server is away.

        Raises
        ------
        ServerAwayError
            If it stays away for longer than patience lasts, or `should_stop` says so.
        Refused
            If the server says no.
        """
        limit = self.patience if patience is None else patience
        since = time.monotonic()
        for attempt in itertools.count():
            try:
                answer = work()
            except ServerGone as gone:
                self.was_lost(gone)
                if should_stop() or time.monotonic() - since > limit:
                    raise self.absence(gone) from gone
                wait_a_little(attempt, should_stop)
            else:
                self.was_found()
                return answer
        raise AssertionError("counting has no end")

    def was_lost(self, gone: ServerGone) -> None:
        """Say once that the server is away."""
        self._start_beating()
        if not self._away:
            self._away = True
            self.say(f"The server {self.connection.name} is away; waiting for it. Your work is kept ({gone}).")

    def was_found(self) -> None:
        """Say once that the server is back."""
        if self._away:
            self._away = False
            self.say(f"The server {self.connection.name} is back; going on.")

    def absence(self, gone: Exception) -> ServerAwayError:
        """What to tell a person who has waited long enough."""
        return ServerAwayError(
            f"The server {self.connection.name} does not answer ({gone}). Your work is kept; look whether "
            "'napari-sam2 serve' runs there, and ask again."
        )

    def _start_beating(self) -> None:
        if self._beating is None and not self._closed.is_set():
            self._beating = threading.Thread(
                target=_beat, args=(weakref.ref(self), self._closed), name="napari-sam2 heartbeat", daemon=True
            )
            self._beating.start()

    def begin(self) -> None:
        """Keep the lease alive from now on."""
        self._start_beating()

    def beat(self) -> None:
        """Tell the server that somebody is here, and what it may forget."""
        keys = [self._forgotten.popleft() for _ in range(min(len(self._forgotten), 1000))]
        unneeded = [key for key, holders in list(self._volumes.items()) if holders <= 0][:MOST_VOLUMES]
        for key in unneeded:
            del self._volumes[key]
        told = json.dumps({"forget": keys, "volumes": unneeded}).encode()
        with contextlib.suppress(ServerGone, Refused, EnvironmentLacksError):
            self.connection.ask_alone("POST", f"/v1/leases/{self.id}", told, 10.0)

    def close(self) -> None:
        """Give the place back; what the server held is freed at once."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._beating is not None:
            with contextlib.suppress(ServerGone, Refused, EnvironmentLacksError):
                self.connection.ask_alone("DELETE", f"/v1/leases/{self.id}", seconds=2.0)
        self.connection.close()
        if self.way is not None:
            self.way.close()


def _beat(lease: weakref.ref[Lease], closed: threading.Event) -> None:
    """Until the lease is closed or nobody holds it any more."""
    while not closed.wait(HEARTBEAT_SECONDS):
        held = lease()
        if held is None:
            return
        held.beat()
        del held
