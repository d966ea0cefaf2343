"""Where a server is: its address, as a person writes it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from napari_sam2.errors import UserInputError

__all__ = ["ServerAddress"]

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_NOT_IN_HOST: Final = re.compile(r"[^\w.:%-]")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Host and port of a server.

    Attributes
    ----------
    host : str
        A name, or an IP address without brackets.
    port : int
        From 1 to 65535.
    encrypted : bool
        Whether it is asked by https.
    """

    host: str
    port: int
    encrypted: bool

    @classmethod
    def of(cls, url: str) -> ServerAddress:
        """From ``http://host:port`` or ``https://host[:port]``; an IPv6 host stands in brackets.

        Raises
        ------
        UserInputError
            If it is anything else; a user or password in it is not repeated.
        """
        try:
            parts = urlsplit(url)
            default = DEFAULT_PORTS[parts.scheme]
            port = default if parts.port is None else parts.port
            host = _host_of(parts.hostname or "")
        except (ValueError, KeyError) as error:
            raise _no_address(url) from error
        if parts.username is not None:
            raise UserInputError(
                f"The address {host}:{port} has a user or password before it, which a server does not ask for; leave "
                "that out, and give the token with its file."
            )
        if not port or parts.path.strip("/") or parts.query or parts.fragment:
            raise _no_address(url)
        return cls(host, port, parts.scheme == "https")

    @property
    def name(self) -> str:
        """For sentences, such as ``gpu:8765`` or ``[::1]:8765``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _host_of(text: str) -> str:
    """A host that can be looked up; `ValueError` if it is none."""
    if _NOT_IN_HOST.search(text) or not text:
        raise ValueError(text)
    if ":" in text:
        ipaddress.IPv6Address(text)
    else:
        text.encode("idna")
    return text


def _no_address(url: str) -> UserInputError:
    shown = url.rsplit("@", 1)[-1][:60]
    return UserInputError(
        f"{shown or 'An empty text'} is no address of a server; give http://host:8765 or https://host."
    )
