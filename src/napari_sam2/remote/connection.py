"""HTTP to one server: repeatable requests, and streams of frames.

Python's own client is enough. It takes no notice of proxy settings, so that a proxy never catches what goes to this
very machine or through a tunnel.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from napari_sam2._version import __version__
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.remote.address import ServerAddress
from napari_sam2.remote.answers import Refused, ServerGone, reason_of
from napari_sam2.remote.stream import Frames
from napari_sam2.remote.wire import ALIVE_SECONDS, PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_sam2.remote.wire import Message

__all__ = ["Connection", "wait_a_little"]

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 120.0
"""A click may wait for a slice of each of the others' runs, and for features of a large model on a CPU."""

SILENT_SECONDS: Final = 4 * ALIVE_SECONDS
"""A stream that gives nothing for so long has nobody at its other end."""

LARGEST_ANSWER: Final = 64 << 20
"""Bytes; no answer is that large."""

PASSING: Final = frozenset({502, 503, 504})
"""Statuses of a proxy whose server is away, and of a server that is busy."""


class Connection:
    """One server and the way to it.

    Parameters
    ----------
    url : str
        See `napari_sam2.remote.address.ServerAddress.of`.
    token : str
        Who asks.
    opened : callable
        Opens the way where it is not open, such as a tunnel; raises `ServerGone` where it cannot.
    """

    def __init__(self, url: str, token: str, opened: Callable[[], None] = lambda: None) -> None:
        address = ServerAddress.of(url)
        self.host, self.port, self.name = address.host, address.port, address.name
        self._tls = ssl.create_default_context() if address.encrypted else None
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
            response = self._sent(connection, method, path, body)
            answer = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ServerGone(reason_of(error)) from error
        if len(answer) > LARGEST_ANSWER:
            raise EnvironmentLacksError(f"{self.name} answers with more than any server of napari-sam2 does.")
        self._check(response.status, answer)
        _check_kind(response)
        return answer

    def _sent(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes
    ) -> http.client.HTTPResponse:
        """The response to a request."""
        connection.request(method, path, body, self._headers)
        return connection.getresponse()

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

        def begun() -> http.client.HTTPResponse:
            response = self._sent(connection, "POST", path, body)
            if response.status != 200:
                self._check(response.status, response.read(LARGEST_ANSWER))
            _check_kind(response)
            return response

        return Frames(connection, begun, self.name).taken(should_stop)

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        self._opened()
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = _Http(self.host, self.port, timeout=CONNECT_SECONDS)
        else:
            connection = _Https(self.host, self.port, timeout=CONNECT_SECONDS, context=self._tls)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise EnvironmentLacksError(
                f"The certificate of {self.name} is not trusted ({error.verify_message}); name the authority that "
                "signed it in the variable SSL_CERT_FILE."
            ) from error
        except ssl.SSLError as error:
            raise EnvironmentLacksError(
                f"{self.name} does not speak https; give its address with http://, or start 'napari-sam2 serve' there "
                "with --certificate and --key."
            ) from error
        except OSError as error:
            raise ServerGone(reason_of(error)) from error
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
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if status in PASSING:
                raise ServerGone(f"a proxy answers {status}") from error
            if status < 400:
                # A proxy in front of the server that wants a person to log in, or that is being moved.
                raise ServerGone(f"a proxy answers {status} and points to another address") from error
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


class _Http(http.client.HTTPConnection):
    """Sends head and body of a request as one piece, so that a server wakes up once for both."""

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **how: Any) -> None:
        """As in the standard library."""
        self._pieces: list[Any] | None = []
        try:
            super().request(method, url, body, headers or {}, **how)
        finally:
            pieces, self._pieces = self._pieces, None
        self.send(b"".join(pieces or ()))

    def send(self, data: Any) -> None:
        """As in the standard library, or later."""
        if getattr(self, "_pieces", None) is None:
            super().send(data)
        elif self._pieces is not None:
            self._pieces.append(data)


class _Https(_Http, http.client.HTTPSConnection):
    """The same, encrypted."""


def _check_kind(response: http.client.HTTPResponse) -> None:
    """Take a web page for a proxy whose server is away: no server of ours sends one."""
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise ServerGone("a web page comes instead, from a proxy or another program")


def _watch(sock: socket.socket) -> None:
    """Send at once, and notice within half a minute when the other side has gone without a word."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def wait_a_little(attempt: int, should_stop: Callable[[], bool]) -> None:
    """Wait before another attempt, from 0.25 s to 4 s."""
    until = time.monotonic() + min(4.0, 0.25 * 2 ** min(attempt, 4))
    while time.monotonic() < until and not should_stop():
        time.sleep(0.05)
