"""Refusals: a status, a code for the client, a sentence for people."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import NapariSam2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Refusal", "lacking", "refusal_for"]

logger = logging.getLogger(__name__)


class Refusal(Exception):  # noqa: N818  # an answer, not a fault of the program
    """An answer that is a refusal.

    Parameters
    ----------
    status : int
        HTTP's.
    code : str
        One of those in docs/remote.md.
    sentence : str
        What is the matter and what to do.
    missing : sequence
        Names of anchors or fits that are not known.
    """

    def __init__(self, status: int, code: str, sentence: str, missing: Sequence[Any] = ()) -> None:
        self.status, self.code, self.missing = status, code, list(missing)
        super().__init__(sentence)

    def as_json(self) -> dict[str, Any]:
        """Body of the answer."""
        return {"error": str(self), "code": self.code, "missing": self.missing}

    def body(self) -> bytes:
        """The same as bytes."""
        return json.dumps(self.as_json()).encode()


def lacking(code: str, missing: Sequence[Any] = ()) -> Refusal:
    """What the client can send again, unasked."""
    status = 404 if code in ("engine", "volume") else 409
    return Refusal(status, code, f"The server holds no such {code} any more; send it again.", missing)


def refusal_for(error: BaseException) -> Refusal:
    """The refusal that an exception comes to.

    What nobody foresaw is logged by its kind alone.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError) or _is_lack_of_memory(error):
        return Refusal(507, "memory", "The server has not enough memory for this now; try again in a while.")
    if isinstance(error, NapariSam2Error | ValueError):
        return Refusal(422, "input", f"The server cannot use this: {error}.")
    # No message and no traceback: they may hold what was sent.
    logger.error("a request failed with %s", type(error).__name__)
    return Refusal(500, "bug", f"The server failed ({type(error).__name__}); your work is kept. Please report it.")


def _is_lack_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
