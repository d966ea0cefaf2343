"""A model on another machine, as a session is given it."""

from __future__ import annotations

import json
import weakref
from typing import TYPE_CHECKING, Any, Final

from napari_sam2._version import __version__
from napari_sam2.core.checked import flag_of, list_of, text_of, whole_of
from napari_sam2.errors import EnvironmentLacksError, ServerAwayError, UserInputError
from napari_sam2.models.base import ModelCard, ViewPolicy
from napari_sam2.models.seen import seen_from_json
from napari_sam2.remote.answers import Refused, ServerGone
from napari_sam2.remote.connection import Connection
from napari_sam2.remote.engine import RemoteEngine
from napari_sam2.remote.lease import Lease
from napari_sam2.remote.tokens import new_token, read_tokens
from napari_sam2.remote.tunnel import SshTarget, Tunnel
from napari_sam2.remote.upload import SentVolume
from napari_sam2.remote.wire import PROTOCOL, header_from_json, object_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = ["RemoteModel", "connect"]

PATIENCE: Final = 600.0
"""Seconds for which a run waits for a server that is away."""

CARD: Final = ("name", "kind", "revision", "sha256", "license", "summary")


class RemoteModel:
    """Answers on another machine; see `napari_sam2.engine.verbs.ModelElsewhere`.

    Parameters
    ----------
    lease : Lease
        The place on the server.
    described : dict
        The model, as the server's status has it.
    offered : tuple of str
        All models that the server has.
    """

    def __init__(self, lease: Lease, described: dict[str, Any], offered: tuple[str, ...]) -> None:
        self.lease = lease
        self.offered = offered
        self.name = text_of(described.get("name"), "the model's name")
        """What the server calls it."""
        card = object_of(described.get("card"), "the model's card")
        seen = None if card.get("seen") is None else seen_from_json(object_of(card["seen"], "the model's channels"))
        self.card = ModelCard(**{name: text_of(card.get(name), name) for name in CARD}, seen=seen)
        self.view_policy = ViewPolicy(
            zoom=flag_of(described.get("zoom")), quality=text_of(described.get("quality"), "the quality")
        )
        self.input_size = whole_of(described.get("input_size"), 1, 1 << 16, "the input size")
        self.dtype = text_of(described.get("precision"), "the precision")
        self.device = f"{text_of(described.get('device'), 'the device')}, on a server"
        self.can_fit = flag_of(described.get("can_fit"))
        self._sent: weakref.WeakKeyDictionary[Any, SentVolume] = weakref.WeakKeyDictionary()

    def engine(self, volume: Volume, window: Window, axis: int) -> RemoteEngine:
        """An engine for slices across `axis`; the volume is sent when needed."""
        sent = self._sent.get(volume)
        if sent is None:
            sent = self._sent[volume] = SentVolume(volume, self.lease)
        named = {"name": self.name, "sha256": self.card.sha256}
        return RemoteEngine(self.lease, named, self.can_fit, volume, sent, window, axis)

    @property
    def sent_bytes(self) -> int:
        """What of volumes has gone over the wire."""
        return sum(sent.sent_bytes for sent in self._sent.values())

    def close(self) -> None:
        """Let the server free what it holds."""
        self.lease.close()


def connect(
    url: str,
    token_file: Path | None,
    name: str,
    *,
    patience: float = PATIENCE,
    say: Callable[[str], None] = lambda note: None,
) -> RemoteModel:
    """A model on a server.

    Parameters
    ----------
    url : str
        ``http://127.0.0.1:8765``, ``https://host``, or ``ssh://user@host``, see `napari_sam2.remote.tunnel.SshTarget`.
    token_file : Path, optional
        Holds the token; a server that ssh starts needs none.
    name : str
        Which of the server's models; the first one when it is empty.
    patience : float
        Seconds for which a run waits for a server that is away.
    say : callable
        Told in a sentence what a person should know: that the server is away, that the scan is being sent.

    Raises
    ------
    UserInputError
        If address or token file cannot be meant.
    EnvironmentLacksError
        If there is no such server, it does not know the token, speaks another protocol, or has no such model.
    """
    target = SshTarget.of(url) if url.startswith("ssh:") else None
    if token_file is not None:
        (token, *_) = read_tokens(token_file)
    elif target is not None and target.starts:
        token = new_token()
    else:
        raise UserInputError("A server needs to know who asks; give the file that holds its token.")
    if target is None:
        return connect_with(url, token, name, patience=patience, say=say)
    tunnel = Tunnel(target, token, name)
    try:
        return connect_with(tunnel.url, token, name, patience=patience, say=say, tunnel=tunnel)
    except BaseException:
        tunnel.close()
        raise


def connect_with(
    url: str,
    token: str,
    name: str,
    *,
    patience: float = PATIENCE,
    say: Callable[[str], None] = lambda note: None,
    tunnel: Tunnel | None = None,
) -> RemoteModel:
    """The same with a token at hand; see `connect`."""
    connection = Connection(url, token) if tunnel is None else Connection(url, token, tunnel.open)
    try:
        return _connected(connection, token, name, patience, say, tunnel)
    except BaseException:
        connection.close()
        raise


def _connected(
    connection: Connection,
    token: str,
    name: str,
    patience: float,
    say: Callable[[str], None],
    tunnel: Tunnel | None,
) -> RemoteModel:
    status = server_status(connection)
    models = {model.get("name"): model for model in list_of(status.get("models"), what="the models")}
    name = name or str(next(iter(models), ""))
    if name not in models:
        known = ", ".join(str(known) for known in models)
        raise EnvironmentLacksError(f"The server {connection.name} has no model {name[:60]!r}; it has {known}.")
    if status.get("version") != __version__:
        say(f"The server runs napari-sam2 {str(status.get('version'))[:40]}, this machine {__version__}.")
    lease = Lease(connection, token, patience)
    lease.say = say
    lease.way = tunnel
    model = RemoteModel(lease, models[name], tuple(str(known) for known in models))
    weakref.finalize(model, lease.close)
    return model


def server_status(connection: Connection) -> dict[str, Any]:
    """Version, models, limits and load of a server.

    Raises
    ------
    EnvironmentLacksError
        If there is none, or it is not to be understood.
    """
    try:
        status = header_from_json(connection.ask("GET", "/v1/status", seconds=10.0))
    except ServerGone as gone:
        raise ServerAwayError(
            f"The server {connection.name} does not answer ({gone}); start it with 'napari-sam2 serve', and check "
            "address, port and tunnel."
        ) from gone
    except (Refused, ValueError, json.JSONDecodeError) as error:
        raise EnvironmentLacksError(f"{connection.name} is no server of napari-sam2 ({error}).") from error
    if status.get("protocol") != PROTOCOL:
        raise EnvironmentLacksError(
            f"The server {connection.name} speaks protocol {str(status.get('protocol'))[:20]} (napari-sam2 "
            f"{str(status.get('version'))[:40]}), this machine protocol {PROTOCOL} (napari-sam2 {__version__}); "
            "install the same version on both."
        )
    return status
