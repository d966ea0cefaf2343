"""SHA-256 of files, and digests of voxels.

As written into results, journals and manifests, and into layers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["digest_of", "sha256_of"]

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


def digest_of(voxels: NDArray[Any]) -> str:
    """A short name of voxels (I, J, K[, 3]).

    By their values in stored order.
    """
    digest = hashlib.blake2b(digest_size=16)
    for k in range(voxels.shape[2]):
        # Slice by slice: a scan in Fortran order, as NIfTI has it, is hashed without a copy.
        digest.update(np.ascontiguousarray(voxels[:, :, k].T).data)
    return digest.hexdigest()
