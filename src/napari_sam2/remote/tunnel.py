"""A way to a server through the system's ssh."""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.remote.answers import ServerGone

__all__ = ["SshTarget", "Tunnel"]

OPENING_SECONDS: Final = 30.0
STARTING_SECONDS: Final = 180.0
"""Loading a large model from a cold disk takes a minute or two."""

SERVER_PORT: Final = 8765
STARTED_PORTS: Final = range(20000, 60000)

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Of users and hosts; none begins with a dash, which ssh would take for an option."""


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where ssh goes.

    Attributes
    ----------
    host : str
        With the user before it, where there is one.
    ssh_port : int, optional
        Of the ssh server; as ssh's own configuration has it by default.
    port : int
        Of napari-sam2's server there.
    starts : bool
        Whether the server is to be started there, for as long as the tunnel is open.
    """

    host: str
    ssh_port: int | None = None
    port: int = SERVER_PORT
    starts: bool = False

    @classmethod
    def of(cls, url: str) -> SshTarget:
        """From ``ssh://[user@]host[:ssh port][/server port][?start]``.

        Raises
        ------
        UserInputError
            If it is anything else; what stands before an ``@`` may be a password and is not repeated.
        """
        wrong = UserInputError(
            f"{url.rsplit('@', 1)[-1][:60]} is no address for ssh; give ssh://user@host, ssh://user@host/8765 or ssh://user@host?start."
        )
        try:
            parts = urlsplit(url)
            ssh_port, port = parts.port, int(parts.path.strip("/") or SERVER_PORT)
        except ValueError as error:
            raise wrong from error
        names = [parts.hostname or "", *([parts.username] if parts.username is not None else [])]
        if parts.scheme != "ssh" or parts.password or not all(_NAME.fullmatch(name) for name in names):
            raise wrong
        if parts.query not in ("", "start") or not 0 < port < 65536:
            raise wrong
        return cls("@".join(reversed(names)), ssh_port, port, parts.query == "start")


class Tunnel:
    """An ssh that forwards a port of this machine to a server.

    Parameters
    ----------
    target : SshTarget
        Where to.
    token : str
        Given to a server that is started, through its standard input.
    model : str
        Which model that server loads; its default when it is empty.
    """

    def __init__(self, target: SshTarget, token: str, model: str = "") -> None:
        self._target, self._token, self._model = target, token, model
        self._ssh: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Open the tunnel where it is not open.

        Raises
        ------
        ServerGone
            If ssh does not get there now.
        EnvironmentLacksError
            If there is no ssh on this machine.
        """
        with self._lock:
            if self._closed or (self._ssh is not None and self._ssh.poll() is None):
                return
            port = secrets.choice(STARTED_PORTS) if self._target.starts else self._target.port
            if self._ssh is not None:
                _end(self._ssh)
            ssh = self._started(port)
            self._ssh = ssh
            seconds = STARTING_SECONDS if self._target.starts else OPENING_SECONDS
            if self._target.starts:
                self._begin_server(ssh)
            self._wait(ssh, seconds)

    def _started(self, port: int) -> subprocess.Popen[bytes]:
        target = self._target
        options = ["ExitOnForwardFailure=yes", "ServerAliveInterval=15", "ServerAliveCountMax=3"]
        if not sys.stdin or not sys.stdin.isatty():
            options.append("BatchMode=yes")
        command = ["ssh", *(part for option in options for part in ("-o", option))]
        command += ["-L", f"127.0.0.1:{self.port}:127.0.0.1:{port}"]
        command += [] if target.ssh_port is None else ["-p", str(target.ssh_port)]
        if target.starts:
            serve = f"napari-sam2 serve --port {port} --token-file -"
            command += [target.host, serve + (f" --models {shlex.quote(self._model)}" if self._model else "")]
        else:
            command += ["-N", target.host]
        try:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError as error:
            raise EnvironmentLacksError(
                "There is no ssh on this machine; install it, or open the way yourself."
            ) from error

    def _begin_server(self, ssh: subprocess.Popen[bytes]) -> None:
        """Hand over the token and wait until the server says that it listens."""
        if ssh.stdin is None or ssh.stdout is None:
            raise TypeError("ssh was started with pipes")
        said = b""
        with contextlib.suppress(OSError):
            ssh.stdin.write(self._token.encode() + b"\n")
            ssh.stdin.flush()
            said = ssh.stdout.readline()
        if b" at http" not in said:
            ssh.terminate()
            raise ServerGone(f"ssh {self._target.host} starts no server; is napari-sam2[server] installed there?")

    def _wait(self, ssh: subprocess.Popen[bytes], seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if ssh.poll() is not None:
                raise ServerGone(f"ssh {self._target.host} ends with {ssh.returncode}; try it in a terminal")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            time.sleep(0.1)
        ssh.terminate()
        raise ServerGone(f"ssh {self._target.host} opens no way in {seconds:.0f} s")

    def close(self) -> None:
        """End ssh, and with it a server that it started."""
        with self._lock:
            self._closed = True
            if self._ssh is not None:
                _end(self._ssh)


def _end(ssh: subprocess.Popen[bytes]) -> None:
    """End an ssh, if it still runs, and close its pipes."""
    if ssh.stdin is not None:
        with contextlib.suppress(OSError):
            ssh.stdin.close()
    ssh.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        ssh.wait(5)
    if ssh.stdout is not None:
        ssh.stdout.close()
