"""Who asks a server: token files."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_token", "new_token", "read_tokens", "write_token"]

SHORTEST_TOKEN: Final = 32
LARGEST_FILE: Final = 1 << 16


def read_tokens(path: Path) -> list[str]:
    """The tokens of a file, one a line.

    Raises
    ------
    UserInputError
        If it is missing, readable by others, or holds something that is no token.
    """
    try:
        if path.is_dir():
            raise UserInputError(f"{path.name} is a folder; give the file that holds the server's token.")
        status = path.stat()
        if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
            raise UserInputError(
                f"{path.name} can be read by others; let only its owner read it: chmod 600 {path.name}."
            )
        if status.st_size > LARGEST_FILE:
            raise UserInputError(f"{path.name} is too large for a token file.")
        lines = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise UserInputError(f"{path.name}: {error.strerror}; give the file that holds the server's token.") from error
    except UnicodeDecodeError as error:
        raise UserInputError(f"{path.name} holds no token; a token is made of letters and digits.") from error
    if not lines or any(not is_token(line) for line in lines):
        raise UserInputError(
            f"{path.name} holds no token: one a line, {SHORTEST_TOKEN} or more letters and digits each. "
            "'napari-sam2 serve --token-file' with a new name makes one."
        )
    return lines


def is_token(text: str) -> bool:
    """Whether text can be a token."""
    return len(text) >= SHORTEST_TOKEN and text.isascii() and all(c.isalnum() or c in "-_" for c in text)


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def write_token(path: Path) -> None:
    """Make a token file for its owner's eyes; nothing is replaced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(new_token() + "\n")
