"""Values read from files that anybody may have written, checked.

They are of the right kind and in range, or a `ValueError` says so.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

__all__ = [
    "NewerError",
    "bits_of",
    "colour_of",
    "flag_of",
    "known_of",
    "list_of",
    "mask_of",
    "number_of",
    "text_of",
    "whole_of",
]

LONGEST_TEXT: Final = 10_000
"""Characters of a name; those of the longest terms have about two hundred."""


class NewerError(ValueError):
    """What only a newer version of this program can have written."""


def whole_of(value: Any, low: int, high: int, what: str = "a number") -> int:
    """A whole number from `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, got {value!r:.40}")
    return value


def number_of(value: Any, low: float = -math.inf, high: float = math.inf, what: str = "a number") -> float:
    """A number from `low` to `high`.

    Without limits it may also be one that is not finite.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{what} must be a number, got {value!r:.40}")
    if not low <= value <= high and (math.isfinite(low) or math.isfinite(high)):
        raise ValueError(f"{what} must be from {low:g} to {high:g}, got {value!r:.40}")
    return value


def text_of(value: Any, what: str = "a name") -> str:
    """Text of a reasonable length."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"{what} must be text of at most {LONGEST_TEXT} characters")
    return value


def known_of(value: Any, known: Collection[str], what: str) -> str:
    """One of the names that this version knows.

    Raises
    ------
    NewerError
        If it is another text: names are only ever added.
    """
    name = text_of(value, what)
    if name not in known:
        raise NewerError(f"it holds {what} {name[:40]!r}")
    return name


def flag_of(value: Any, what: str = "a flag") -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be true or false, got {value!r:.40}")
    return value


def list_of(value: Any, length: int | None = None, what: str = "a list") -> list[Any]:
    """A list, of some length if that is given."""
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise ValueError(f"{what} must be a list{'' if length is None else f' of {length}'}, got {value!r:.40}")
    return value


def colour_of(value: Any) -> tuple[int, int, int] | None:
    """Red, green, blue, 0 to 255, or nothing."""
    if value is None:
        return None
    red, green, blue = (whole_of(part, 0, 255, "a colour") for part in list_of(value, 3, "a colour"))
    return red, green, blue


def bits_of(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask as its shape and its bits, packed and compressed."""
    packed = zlib.compress(np.packbits(mask).tobytes(), 6)
    return {"shape": list(mask.shape), "bits": base64.b64encode(packed).decode("ascii")}


def mask_of(written: Any, largest: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask again.

    Parameters
    ----------
    written : dict
        See `bits_of`.
    largest : tuple of int
        (rows, columns) that it can have; nothing larger is unpacked.
    """
    height, width = list_of(written["shape"], 2, "the shape of a mask")
    whole_of(height, 0, largest[0], "the height of a mask")
    whole_of(width, 0, largest[1], "the width of a mask")
    n_bytes = (height * width + 7) // 8
    inflated = zlib.decompressobj()
    try:
        packed = inflated.decompress(base64.b64decode(written["bits"], validate=True), n_bytes + 1)
    except zlib.error as error:
        raise ValueError("the bits of a mask are damaged") from error
    if len(packed) != n_bytes or not inflated.eof:
        raise ValueError(f"a mask of {height} x {width} must have {n_bytes} bytes")
    if n_bytes == 0:
        return np.zeros((height, width), dtype=bool)
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=height * width).astype(bool).reshape(height, width)
