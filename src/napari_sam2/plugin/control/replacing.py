"""Asking before an existing file is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ReplaceGuard"]


class ReplaceGuard:
    """Knows which files may be replaced.

    Those written here, and those that were asked about just before.

    A question holds for the state it was asked in: after anything has changed, in the work or on the disk, it is
    asked again.
    """

    def __init__(self) -> None:
        self._asked: dict[Path, tuple[Any, Any]] = {}
        self._written: dict[Path, Any] = {}

    def allows(self, path: Path, state: object) -> bool:
        """Whether a file may be written now.

        When not, asking again with the same `state` will do.

        Parameters
        ----------
        path : Path
            The file.
        state : object
            What would be written; compared by identity.
        """
        signature = _signature(path)
        if signature is None or self._written.get(path) == signature:
            return True
        asked_state, asked_signature = self._asked.pop(path, (None, None))
        if asked_state is state and asked_signature == signature:
            return True
        self._asked[path] = (state, signature)
        return False

    def wrote(self, path: Path) -> None:
        """Note that a file was written here.

        It may be replaced unasked while nobody else touches it.
        """
        self._written[path] = _signature(path)


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from one of the same name; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
