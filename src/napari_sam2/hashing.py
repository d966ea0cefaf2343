"""SHA-256 of files, as written into results, journals and manifests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sha256_of"]

_CHUNK: Final = 1 << 20


def sha256_of(*paths: Path) -> str:
    """SHA-256 of files, one after the other, as hex digits.

    Of the bytes as they are on disk.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
