"""The frames of a run, read ahead on their own thread."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.remote.answers import Refused, ServerGone, reason_of
from napari_sam2.remote.wire import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.remote.wire import Message

__all__ = ["Frames"]

LARGEST_FRAME: Final = 32 << 20
"""Bytes; no slice is that large. A server is trusted with voxels, not with this machine's memory."""

FRAMES_AHEAD: Final = 256
BYTES_AHEAD: Final = 64 << 20
"""Frames that wait to be taken, and their bytes; then the server waits."""

ASKED_SECONDS: Final = 0.1
"""Between two looks at whether the run is to stop."""


class Frames:
    """The frames of one answer.

    Parameters
    ----------
    connection : http.client.HTTPConnection
        Open, and this one's alone.
    begun : callable
        Sends the request and gives the response, of which frames come; raises what the request comes to.
    server : str
        Its name, for sentences.
    """

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        begun: Callable[[], http.client.HTTPResponse],
        server: str,
    ) -> None:
        self._connection, self._begun, self._server = connection, begun, server
        self._waiting: deque[tuple[Message | Exception, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False

    def taken(self, should_stop: Callable[[], bool]) -> Iterator[Message]:
        """Each frame; the last one is an ``end`` or an ``error``.

        Closing the iterator, or `should_stop`, closes the connection.
        """
        reader = threading.Thread(target=self._read, name="napari-sam2 stream", daemon=True)
        reader.start()
        try:
            while not should_stop():
                item = self._next()
                if isinstance(item, Exception):
                    raise item
                if item is not None:
                    yield item
                    if _is_last(item):
                        return
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            if self._connection.sock is not None:
                with contextlib.suppress(OSError):
                    self._connection.sock.shutdown(socket.SHUT_RDWR)
            reader.join()
            self._connection.close()

    def _next(self) -> Message | Exception | None:
        with self._changed:
            if not self._waiting:
                self._changed.wait(ASKED_SECONDS)
            if not self._waiting:
                return None
            item, size = self._waiting.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return item

    def _put(self, item: Message | Exception, size: int = 0) -> bool:
        """Leave a frame once there is room; False when nobody takes any more."""
        with self._changed:
            while not self._closed and (len(self._waiting) >= FRAMES_AHEAD or self._bytes >= BYTES_AHEAD):
                self._changed.wait()
            if self._closed:
                return False
            self._waiting.append((item, size))
            self._bytes += size
            self._changed.notify_all()
            return True

    def _read(self) -> None:
        """Put frames, then what ended them."""
        item: Message | Exception
        try:
            response = self._begun()
            while True:
                size = int.from_bytes(_exactly(response, 4))
                item = unpacked(_exactly(response, size), finite=False)
                if not self._put(item, size) or _is_last(item):
                    return
        except (ServerGone, Refused, EnvironmentLacksError) as error:
            item = error
        except ValueError as error:
            item = EnvironmentLacksError(f"{self._server} sends what is no answer ({error}).")
        except (OSError, http.client.HTTPException, AttributeError) as error:
            # http.client loses its file (AttributeError) when the socket is closed under it.
            item = ServerGone(reason_of(error))
        self._put(item)


def _is_last(frame: Message) -> bool:
    return frame.header.get("kind") in ("end", "error")


def _exactly(response: http.client.HTTPResponse, size: int) -> bytes:
    if size > LARGEST_FRAME:
        raise ValueError("a frame is too long")
    read = response.read(size)
    if len(read) < size:
        raise ServerGone("the stream broke off")
    return read
