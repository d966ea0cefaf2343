"""How one channel is shown: its name, colour and range."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from napari_sam2.errors import UserInputError

__all__ = ["COLOUR_NAMES", "LARGEST_END", "ChannelDisplay", "ChannelWish", "colour_from_hex", "parse_channel"]

COLOUR_NAMES: Final = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "magenta": (255, 0, 255), "cyan": (0, 255, 255),
    "yellow": (255, 255, 0), "orange": (255, 128, 0), "white": (255, 255, 255), "grey": (255, 255, 255),
    "gray": (255, 255, 255),
}  # fmt: skip
"""What a person may call a colour; any other one is six hexadecimal digits."""

LARGEST_END: Final = 1e38
"""Ends of a range are shown in single precision, which goes to 3.4e38."""

_NUMBER: Final = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_WISH: Final = re.compile(
    rf"(?P<name>.+?)(?:=(?P<colour>#?[0-9a-f]{{6}}|[a-z]+))?(?::(?P<low>{_NUMBER}):(?P<high>{_NUMBER}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ChannelDisplay:
    """What a file says of the display of a channel.

    Attributes
    ----------
    name : str
        May be empty.
    colour : (int, int, int), optional
        RGB; None when the file states none.
    window : (float, float), optional
        Values shown as black and as the full colour.
    shown : bool
        False for a channel that is switched off.
    """

    name: str = ""
    colour: tuple[int, int, int] | None = None
    window: tuple[float, float] | None = None
    shown: bool = True


@dataclass(frozen=True, slots=True)
class ChannelWish:
    """What a person says of the display of a channel.

    Attributes
    ----------
    channel : str or int
        Its name, or its number counted from 0.
    colour, window
        In place of what the file says; see `ChannelDisplay`.
    """

    channel: str | int
    colour: tuple[int, int, int] | None = None
    window: tuple[float, float] | None = None


def colour_from_hex(text: str) -> tuple[int, int, int]:
    """Red, green and blue of six hexadecimal digits.

    With or without a number sign.
    """
    digits = text.removeprefix("#")
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)


def parse_channel(text: str | int, names: tuple[str, ...] = ()) -> ChannelWish:
    """Read ``NAME``, ``NAME=COLOUR`` or ``NAME=COLOUR:LOW:HIGH``.

    Parameters
    ----------
    text : str or int
        ``"DAPI"``, ``1``, ``"DAPI=blue"``, ``"DAPI=00a0ff:100:4000"`` or ``"DAPI:100:4000"``.
    names : tuple of str
        Of the channels: a text that is one of them is taken as it is, whatever signs it holds.

    Raises
    ------
    UserInputError
        If the colour is not known, or the range is empty.
    """
    if isinstance(text, int) or text.lower() in [name.lower() for name in names]:
        return ChannelWish(text)
    parts = _WISH.fullmatch(text)
    if parts is None:
        return ChannelWish(text)
    colour = _colour(parts["colour"])
    if parts["low"] is None:
        return ChannelWish(parts["name"], colour)
    low, high = float(parts["low"]), float(parts["high"])
    if max(abs(low), abs(high)) > LARGEST_END:
        raise UserInputError(f"The range {low:g} to {high:g} of a channel is larger than any intensity.")
    if low >= high:
        raise UserInputError(f"The range {low:g} to {high:g} of a channel is empty; give the lower end first.")
    return ChannelWish(parts["name"], colour, (low, high))


def _colour(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    named = COLOUR_NAMES.get(text.lower())
    if named is not None:
        return named
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
        return colour_from_hex(text)
    raise UserInputError(
        f"The colour {text[:20]!r} is not known; give six hexadecimal digits or one of {', '.join(COLOUR_NAMES)}."
    )
