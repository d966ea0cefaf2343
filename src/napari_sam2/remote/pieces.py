"""Voxels in pieces, each compressed on its own.

A cut upload goes on with the piece that was cut.

A piece is 4 MB of the array in stored order, its bytes sorted by significance (most of the high bytes of a scan are
alike) and deflated. Zlib is in every Python; blosc2 was four times as fast for the same size, and one more dependency.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.checked import list_of, text_of, whole_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PIECE_BYTES", "VoxelLayout", "deflated", "inflated", "key_of", "voxels_for_wire"]

PIECE_BYTES: Final = 4 << 20

KINDS: Final = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
"""Kinds of numbers that voxels may have, little-endian."""

LONGEST_AXIS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class VoxelLayout:
    """Shape and kind of an array of voxels.

    Attributes
    ----------
    shape : tuple of int
        (I, J, K) or (I, J, K, 3).
    kind : str
        One of `KINDS`.
    """

    shape: tuple[int, ...]
    kind: str

    @property
    def n_bytes(self) -> int:
        """Of the whole array."""
        return math.prod(self.shape) * self.item_bytes

    @property
    def item_bytes(self) -> int:
        """Of a number."""
        return np.dtype(self.kind).itemsize

    @property
    def n_pieces(self) -> int:
        """How many pieces there are."""
        return -(-self.n_bytes // PIECE_BYTES)

    def piece(self, number: int) -> slice:
        """The bytes of a piece."""
        return slice(number * PIECE_BYTES, min((number + 1) * PIECE_BYTES, self.n_bytes))

    def as_json(self) -> dict[str, Any]:
        """For the wire."""
        return {"shape": list(self.shape), "kind": self.kind}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> VoxelLayout:
        """The layout again, of an array that is a volume."""
        shape = tuple(whole_of(n, 1, LONGEST_AXIS, "a side") for n in list_of(written.get("shape"), what="the shape"))
        kind = text_of(written.get("kind"), "the kind of voxels")
        if kind not in KINDS:
            raise ValueError(f"voxels must be of one of the kinds {', '.join(KINDS)}, got {kind!r:.40}")
        if len(shape) != 3 and not (len(shape) == 4 and shape[3] == 3 and kind == "|u1"):
            raise ValueError("voxels must have three axes, or four with three colours of 8 bits")
        return cls(shape, kind)


def voxels_for_wire(voxels: NDArray[Any]) -> NDArray[Any]:
    """The same voxels, contiguous and little-endian, copied only if need be.

    Raises
    ------
    ValueError
        If they are of a kind that is not sent, such as complex numbers.
    """
    little = np.ascontiguousarray(voxels, dtype=voxels.dtype.newbyteorder("<"))
    if little.dtype.str not in KINDS:
        raise ValueError(f"voxels of kind {voxels.dtype} cannot be sent")
    return little


def layout_of(voxels: NDArray[Any]) -> VoxelLayout:
    """Of an array from `voxels_for_wire`."""
    return VoxelLayout(voxels.shape, voxels.dtype.str)


def key_of(token: str, layout: VoxelLayout, voxels: memoryview) -> str:
    """The name of voxels on a server.

    Nobody without the token can ask whether a scan is known there.
    """
    mac = hmac.new(token.encode(), json.dumps(layout.as_json()).encode(), hashlib.sha256)
    mac.update(voxels)
    return mac.hexdigest()


def deflated(piece: memoryview, item_bytes: int) -> bytes:
    """A piece for the wire."""
    by_item = np.frombuffer(piece, np.uint8).reshape(-1, item_bytes)
    return zlib.compress(np.ascontiguousarray(by_item.T).data, 1)


def inflated(body: bytes, n_bytes: int, item_bytes: int) -> bytes:
    """The piece again, which has `n_bytes`.

    Raises
    ------
    ValueError
        If it is damaged or has another size; nothing larger is inflated.
    """
    stream = zlib.decompressobj()
    try:
        planes = stream.decompress(body, n_bytes + 1)
    except zlib.error as error:
        raise ValueError("a piece of the volume is damaged") from error
    if len(planes) != n_bytes or not stream.eof or stream.unused_data:
        raise ValueError(f"a piece of the volume must have {n_bytes} bytes")
    return np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(item_bytes, -1).T).tobytes()
