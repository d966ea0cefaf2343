"""Fluorescence channels as RGB.

With one intensity window per channel for the whole slide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ChannelMix", "choose_mix"]

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

    def apply(self, raw: NDArray[Any]) -> NDArray[np.uint8]:
        """RGB (rows, columns, 3) of raw pixels (rows, columns, C)."""
        rgb = np.zeros((*raw.shape[:2], 3), dtype=np.float32)
        for channel, colour, (low, high) in zip(self.chosen, self.colours, self.windows, strict=True):
            share = (raw[..., channel].astype(np.float32) - low) / (high - low)
            share = np.clip(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
            rgb += share[..., None] * np.array(colour, dtype=np.float32)
        return np.rint(np.minimum(rgb, 255)).astype(np.uint8)


def choose_mix(survey: NDArray[Any], names: tuple[str, ...], wanted: str | int | None, file_name: str) -> ChannelMix:
    """One channel in grey, or all of them merged.

    Parameters
    ----------
    survey : (rows, columns, C) array
        The coarsest level, on which intensities are looked at.
    names : tuple of str
        One per channel.
    wanted : str or int, optional
        A channel's name (any case) or number counted from 0; all channels by default.
    file_name : str
        For the message.

    Raises
    ------
    UserInputError
        If there is no such channel.
    """
    chosen = tuple(range(len(names))) if wanted is None else (_find(names, wanted, file_name),)
    grey = len(chosen) == 1
    colours = tuple((255, 255, 255) if grey else COLOURS[c % len(COLOURS)] for c in chosen)
    return ChannelMix(names, chosen, colours, tuple(_window(survey[..., c]) for c in chosen))


def _find(names: tuple[str, ...], channel: str | int, file_name: str) -> int:
    for index, name in enumerate(names):
        if str(channel).lower() == name.lower():
            return index
    if str(channel).isdecimal() and int(channel) < len(names):
        return int(channel)
    listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
    raise UserInputError(f"{file_name} has no channel {channel!r}; choose one of {listed}.")


def _window(survey: NDArray[Any]) -> tuple[float, float]:
    finite = survey[np.isfinite(survey)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, PERCENTILES))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)
