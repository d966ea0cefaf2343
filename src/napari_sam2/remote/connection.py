"""HTTP to one server: repeatable requests, and streams of frames.

Python's own client is enough. It takes no notice of proxy settings, so that a proxy never catches what goes to this
very machine or through a tunnel.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from napari_sam2._version import __version__
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.remote.wire import ALIVE_SECONDS, PROTOCOL, Message, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Connection", "Refused", "ServerGone"]

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 120.0
"""A click may wait for a slice of each of the others' runs, and for features of a large model on a CPU."""

SILENT_SECONDS: Final = 4 * ALIVE_SECONDS
"""A stream that gives nothing for so long has nobody at its other end."""

LARGEST_ANSWER: Final = 64 << 20
LARGEST_FRAME: Final = 32 << 20
"""Bytes; no slice is that large. A server is trusted with voxels, not with this machine's memory."""

READ_AHEAD: Final = 256
"""Frames that wait to be taken; then the server waits."""

PASSING: Final = frozenset({502, 503, 504})
"""Statuses of a proxy whose server is away, and of a server that is busy."""


class ServerGone(Exception):  # noqa: N818  # what happened, not a fault of the program
    """Nobody answers now; the same may be asked again."""


class Refused(Exception):  # noqa: N818
    """The server has answered that it cannot.

    Parameters
    ----------
    status : int
        HTTP's.
    code : str
        What is lacking, one of those in docs/remote.md.
    sentence : str
        For a person.
    missing : list
        Which anchors or fits it does not know.
    """

    def __init__(self, status: int, code: str, sentence: str, missing: list[Any]) -> None:
        self.status, self.code, self.missing = status, code, missing
        super().__init__(sentence)


class Connection:
    """One server and the way to it.

    Parameters
    ----------
    url : str
        ``http://host:port`` or ``https://host[:port]``.
    token : str
        Who asks.
    opened : callable
        Opens the way where it is not open, such as a tunnel; raises `ServerGone` where it cannot.
    """

    def __init__(self, url: str, token: str, opened: Callable[[], None] = lambda: None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise UserInputError(f"{url[:60]} is no address of a server; give http://host:8765 or https://host.")
        self.host, self.port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self.name = f"{self.host}:{self.port}"
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Napari-Sam2": f"{PROTOCOL} {__version__}",
        }
        self._opened = opened
        self._lock = threading.Lock()
        self._open: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """The answer to a request, which may have been done twice.

        Raises
        ------
        ServerGone
            If nobody answers, or a proxy says so.
        Refused
            If the server says no.
        EnvironmentLacksError
            If what answers is another program, or its certificate is not trusted.
        """
        with self._lock:
            kept = self._open is not None
            try:
                return self._ask(method, path, body, seconds)
            except ServerGone:
                # A kept connection may have been closed by the other side while nobody looked.
                if not kept:
                    raise
            return self._ask(method, path, body, seconds)

    def ask_alone(self, method: str, path: str, body: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """Like `ask`, over a connection of its own."""
        connection = self._connect(seconds)
        try:
            return self._exchange(connection, method, path, body)
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: bytes, seconds: float) -> bytes:
        if self._open is None:
            self._open = self._connect(seconds)
        elif self._open.sock is not None:
            self._open.sock.settimeout(seconds)
        try:
            return self._exchange(self._open, method, path, body)
        except (ServerGone, EnvironmentLacksError):
            self._open.close()
            self._open = None
            raise

    def _exchange(self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> bytes:
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            answer = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ServerGone(_reason(error)) from error
        if len(answer) > LARGEST_ANSWER:
            raise EnvironmentLacksError(f"{self.name} answers with more than any server of napari-sam2 does.")
        self._check(response.status, answer)
        return answer

    def stream(self, path: str, body: bytes, should_stop: Callable[[], bool]) -> Iterator[Message]:
        """The frames of a run, as they come.

        Closing the iterator, or `should_stop`, ends the run on the server.

        Raises
        ------
        ServerGone
            If the stream breaks off before its end.
        Refused, EnvironmentLacksError
            As `ask`.
        """
        connection = self._connect(SILENT_SECONDS)
        frames: queue.Queue[Message | Exception] = queue.Queue(READ_AHEAD)
        closed = threading.Event()
        reader = threading.Thread(
            target=self._read_frames, args=(connection, path, body, frames, closed), name="napari-sam2 stream"
        )
        reader.daemon = True
        reader.start()
        try:
            yield from _taken(frames, should_stop)
        finally:
            closed.set()
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            reader.join()
            connection.close()

    def _read_frames(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: bytes,
        frames: queue.Queue[Message | Exception],
        closed: threading.Event,
    ) -> None:
        """Put frames, then what ended them, into the queue; on a thread of its own."""
        item: Message | Exception
        try:
            connection.request("POST", path, body, self._headers)
            response = connection.getresponse()
            if response.status != 200:
                self._check(response.status, response.read(LARGEST_ANSWER))
            while True:
                item = unpacked(_exactly(response, int.from_bytes(_exactly(response, 4))), finite=False)
                if not _put(frames, item, closed) or item.header.get("kind") in ("end", "error"):
                    return
        except (ServerGone, Refused, EnvironmentLacksError) as error:
            item = error
        except ValueError as error:
            item = EnvironmentLacksError(f"{self.name} sends what is no answer ({error}).")
        except (OSError, http.client.HTTPException, AttributeError) as error:
            # http.client loses its file (AttributeError) when the socket is closed under it.
            item = ServerGone(_reason(error))
        _put(frames, item, closed)

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        self._opened()
        if self._tls is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=CONNECT_SECONDS)
        else:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=CONNECT_SECONDS, context=self._tls)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise EnvironmentLacksError(
                f"The certificate of {self.name} is not trusted ({error.verify_message}); name the authority that "
                "signed it in the variable SSL_CERT_FILE."
            ) from error
        except OSError as error:
            raise ServerGone(_reason(error)) from error
        connection.sock.settimeout(seconds)
        _watch(connection.sock)
        return connection

    def _check(self, status: int, answer: bytes) -> None:
        if status < 300:
            return
        try:
            said = json.loads(answer)
            sentence, code = str(said["error"])[:1000], str(said["code"])
            missing = list(said.get("missing", []))
        except (ValueError, KeyError, TypeError) as error:
            if status in PASSING:
                raise ServerGone(f"a proxy answers {status}") from error
            raise EnvironmentLacksError(
                f"{self.name} answers {status} and is no server of napari-sam2; check address and port."
            ) from error
        if status == 503:
            raise ServerGone(sentence)
        if code in ("token", "version"):
            raise EnvironmentLacksError(sentence)
        raise Refused(status, code, sentence, missing)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None


def _taken(frames: queue.Queue[Message | Exception], should_stop: Callable[[], bool]) -> Iterator[Message]:
    while not should_stop():
        try:
            item = frames.get(timeout=0.1)
        except queue.Empty:
            continue
        if isinstance(item, Exception):
            raise item
        yield item
        if item.header.get("kind") in ("end", "error"):
            return


def _put(frames: queue.Queue[Message | Exception], item: Message | Exception, closed: threading.Event) -> bool:
    while not closed.is_set():
        try:
            frames.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def _exactly(response: http.client.HTTPResponse, size: int) -> bytes:
    if size > LARGEST_FRAME:
        raise ValueError("a frame is too long")
    read = response.read(size)
    if len(read) < size:
        raise ServerGone("the stream broke off")
    return read


def _watch(sock: socket.socket) -> None:
    """Send at once, and notice within half a minute when the other side has gone without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return str(error) or type(error).__name__


def wait_a_little(attempt: int, should_stop: Callable[[], bool]) -> None:
    """Wait before another attempt, from 0.25 s to 4 s."""
    until = time.monotonic() + min(4.0, 0.25 * 2 ** min(attempt, 4))
    while time.monotonic() < until and not should_stop():
        time.sleep(0.05)
