"""What may come of asking a server: nothing, or a refusal."""

from __future__ import annotations

import http.client
import socket
from typing import Any

__all__ = ["Refused", "ServerGone", "reason_of"]


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


def reason_of(error: Exception) -> str:
    """Why nobody answers, in a few words."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, ConnectionError | http.client.IncompleteRead):
        return "the connection broke off"
    if isinstance(error, http.client.HTTPException):
        return "what answers does not speak HTTP"
    return str(error) or type(error).__name__
