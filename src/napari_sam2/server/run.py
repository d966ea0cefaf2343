"""Starting a server: place, socket, encryption, and its end."""

from __future__ import annotations

import gc
import ipaddress
import logging
import socket
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.server.holdings import Holdings
from napari_sam2.server.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.server.holdings import Limits

__all__ = ["ModelServer", "Place", "answer_quickly", "keep_off_the_disk"]

QUEUE: Final = 64
"""Connections that wait to be taken."""

MOST_CONNECTIONS: Final = 256

GRACE_SECONDS: Final = 2

SWITCH_SECONDS: Final = 0.0005
"""For which one thread keeps the interpreter while another wants it: a click comes in while a run is worked on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens.

    Attributes
    ----------
    host : str
        Address of this machine to listen at.
    port : int
        0 takes a free one.
    certificate, key : Path, optional
        For TLS, as PEM.
    behind_proxy : bool
        Whether something in front encrypts, so that another address than this machine's own may be used without TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False

    def check(self) -> None:
        """Refuse to send scans in the clear.

        Raises
        ------
        UserInputError
            If others could read along, or certificate and key do not come together.
        """
        if (self.certificate is None) != (self.key is None):
            raise UserInputError("Give --tls-cert and --tls-key together.")
        for path in (self.certificate, self.key):
            if path is not None and not path.is_file():
                raise UserInputError(f"{path.name}: there is no such file; give certificate and key as PEM.")
        if not (_is_loopback(self.host) or self.certificate or self.behind_proxy):
            raise UserInputError(
                f"--host {self.host}: scans would go over the network unencrypted; give --tls-cert and --tls-key, or "
                "--behind-proxy where a proxy encrypts, or leave out --host and use an SSH tunnel."
            )


class ModelServer:
    """A server that listens, and can be told to end.

    Parameters
    ----------
    place : Place
        Where; `Place.check` has been asked.
    models : mapping of str to SegmentationModel
        By name; loaded.
    tokens : sequence of str
        Who may ask.
    limits : Limits
        How much is held.

    Attributes
    ----------
    url : str
        Its address.
    holdings : Holdings
        What it holds.
    turns : Turns
        The model's thread.

    Raises
    ------
    EnvironmentLacksError
        If the port is taken, or the extra ``[server]`` is not installed.
    """

    def __init__(
        self, place: Place, models: Mapping[str, SegmentationModel], tokens: Sequence[str], limits: Limits
    ) -> None:
        try:
            import uvicorn

            from napari_sam2.server.app import make_app
        except ModuleNotFoundError as error:
            raise EnvironmentLacksError(
                f"{error.name} is missing; install it with: pip install 'napari-sam2[server]'"
            ) from error
        self._socket = _listening(place)
        self.holdings, self.turns = Holdings(models, limits), Turns()
        settings = uvicorn.Config(
            make_app(self.holdings, self.turns, tokens),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level=logging.WARNING,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=None if place.certificate is None else str(place.certificate),
            ssl_keyfile=None if place.key is None else str(place.key),
        )
        self._server = uvicorn.Server(settings)
        scheme = "http" if place.certificate is None else "https"
        host = f"[{place.host}]" if ":" in place.host else place.host
        self.url = f"{scheme}://{host}:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Serve until `stop`, or until the process is told to end."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.turns.close()
            self._socket.close()

    def stop(self) -> None:
        """End soon; from any thread."""
        self._server.should_exit = True

    def stop_with_input(self) -> None:
        """End with the standard input: with the ssh that started this."""
        threading.Thread(target=self._wait_for_end_of_input, name="napari-sam2 input", daemon=True).start()

    def _wait_for_end_of_input(self) -> None:
        while sys.stdin.readline():
            pass
        self.stop()


def _listening(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    # With the protocol's number: asyncio switches TCP_NODELAY on only where it sees it, and a click cost 46 ms more.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((place.host, place.port))
        sock.listen(QUEUE)
    except OSError as error:
        sock.close()
        raise EnvironmentLacksError(
            f"{place.host}:{place.port} cannot be used ({error.strerror or error}); choose another --port."
        ) from error
    return sock


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def answer_quickly() -> None:
    """Let other threads and garbage collection not delay clicks.

    For a process that only serves.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # networks and libraries stay, and need not be looked through again


def keep_off_the_disk() -> None:
    """Let a crash leave no image of the memory."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
