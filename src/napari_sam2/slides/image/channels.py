"""Fluorescence channels as RGB.

With one colour and one range of intensities per channel for the whole slide: a person's, else the file's, else by
place and content.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.channel_display import parse_channel
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.core.channel_display import ChannelDisplay

__all__ = ["COLOURS", "ChannelMix", "choose_mix", "measured_window"]

COLOURS: Final = ((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 0, 255), (0, 255, 255), (255, 255, 0), (255, 255, 255))
"""Blue first: the first channel is nearly always the nuclear stain."""

PERCENTILES: Final = (0.5, 99.5)
"""Of the overview's pixels; what is darker or brighter is clipped."""


@dataclass(frozen=True, slots=True)
class ChannelMix:
    """How channels become RGB.

    Attributes
    ----------
    names : tuple of str
        All channels of the slide.
    chosen : tuple of int
        Channels that are shown.
    colours : tuple of (int, int, int)
        One RGB colour per chosen channel.
    windows : tuple of (float, float)
        Intensities shown as black and as the full colour, per chosen channel.
    """

    names: tuple[str, ...]
    chosen: tuple[int, ...]
    colours: tuple[tuple[int, int, int], ...]
    windows: tuple[tuple[float, float], ...]

    def named_as(self, other: ChannelMix | None) -> ChannelMix:
        """The same, with the names of another mix of as many channels.

        Journals hold names of stains only; the file knows how its channels are called.
        """
        if other is None or len(other.names) != len(self.names):
            return self
        return replace(self, names=other.names)

    def apply(self, raw: NDArray[Any]) -> NDArray[np.uint8]:
        """RGB (rows, columns, 3) of raw pixels (rows, columns, C)."""
        rgb = np.zeros((*raw.shape[:2], 3), dtype=np.float32)
        for channel, colour, (low, high) in zip(self.chosen, self.colours, self.windows, strict=True):
            share = (raw[..., channel].astype(np.float32) - low) / (high - low)
            share = np.clip(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
            rgb += share[..., None] * np.array(colour, dtype=np.float32)
        return np.rint(np.minimum(rgb, 255)).astype(np.uint8)


def choose_mix(
    survey: NDArray[Any], displays: tuple[ChannelDisplay, ...], wanted: tuple[str | int, ...], file_name: str
) -> ChannelMix:
    """Channels that are shown, with their colours and ranges.

    One alone is grey unless a person gives it a colour: a model sees more in grey than in blue.

    Parameters
    ----------
    survey : (rows, columns, C) array
        The coarsest level, on which intensities are looked at.
    displays : tuple of ChannelDisplay
        One per channel: what the file says.
    wanted : tuple of str or int
        Channels as `parse_channel` takes them; empty for all that the file shows.
    file_name : str
        For the message.

    Raises
    ------
    UserInputError
        If there is no such channel, one is wanted twice, or a colour or range is none.
    """
    names = tuple(display.name or f"channel {i}" for i, display in enumerate(displays))
    wishes = {}
    for text in wanted:
        wish = parse_channel(text, names)
        index = _find(names, wish.channel, file_name)
        if index in wishes:
            raise UserInputError(f"The channel {names[index]} is wanted twice; give it once.")
        wishes[index] = wish
    shown = tuple(i for i, display in enumerate(displays) if display.shown) or tuple(range(len(displays)))
    chosen = tuple(wishes) or shown
    colours, windows = [], []
    for index in chosen:
        asked, display = wishes.get(index), displays[index]
        by_file = (255, 255, 255) if len(chosen) == 1 else display.colour or COLOURS[index % len(COLOURS)]
        colours.append((asked.colour if asked else None) or by_file)
        stated = display.window if display.window and not _is_whole_range(display.window, survey.dtype) else None
        windows.append((asked.window if asked else None) or stated or measured_window(survey[..., index]))
    return ChannelMix(names, chosen, tuple(colours), tuple(windows))


def _is_whole_range(window: tuple[float, float], dtype: np.dtype[Any]) -> bool:
    """Whether a range is that of the whole type beyond 8 bits, which writers put there when they know none."""
    return dtype.kind in "ui" and dtype.itemsize > 1 and window[1] - window[0] >= np.iinfo(dtype).max


def _find(names: tuple[str, ...], channel: str | int, file_name: str) -> int:
    for index, name in enumerate(names):
        if str(channel).lower() == name.lower():
            return index
    if str(channel).isdecimal() and int(channel) < len(names):
        return int(channel)
    listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
    raise UserInputError(f"{file_name} has no channel {channel!r}; choose one of {listed}.")


def measured_window(survey: NDArray[Any]) -> tuple[float, float]:
    """The range that intensities of a channel suggest."""
    finite = survey[np.isfinite(survey)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)
