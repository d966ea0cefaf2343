"""The channels of a slide one by one.

As a person looks at them and changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.errors import UserInputError
from napari_sam2.slides.image.channels import COLOURS, ChannelMix, measured_window
from napari_sam2.slides.image.kind import survey_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.slides.image.pyramid import Slide

__all__ = ["ChannelRow", "mix_of", "rows_of", "with_measured_windows"]


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel of a slide.

    Attributes
    ----------
    name : str
        Of the channel.
    shown : bool
        Whether it is seen, by the eye and by the model.
    colour : (int, int, int)
        RGB.
    window : (float, float)
        Intensities shown as black and as the full colour.
    limits : (float, float)
        Least and greatest intensity of the coarsest level, and of the window.
    measured : (float, float)
        The window that its intensities suggest.
    """

    name: str
    shown: bool
    colour: tuple[int, int, int]
    window: tuple[float, float]
    limits: tuple[float, float]
    measured: tuple[float, float]


def rows_of(slide: Slide) -> tuple[ChannelRow, ...]:
    """All channels of a slide as they are shown.

    None when its pixels are plain colours.

    Its coarsest level is read.
    """
    mix = slide.mix
    if mix is None:
        return ()
    survey = survey_of(slide.source)
    rows = []
    for channel, name in enumerate(mix.names):
        values = survey[..., channel]
        measured = measured_window(values)
        shown = channel in mix.chosen
        place = mix.chosen.index(channel) if shown else -1
        window = mix.windows[place] if shown else measured
        colour = mix.colours[place] if shown else COLOURS[channel % len(COLOURS)]
        rows.append(ChannelRow(name, shown, colour, window, _limits(values, window), measured))
    return tuple(rows)


def mix_of(rows: Sequence[ChannelRow]) -> ChannelMix:
    """The mix that shows channels so.

    Raises
    ------
    UserInputError
        If none is shown, or a range is empty.
    """
    chosen = tuple(number for number, row in enumerate(rows) if row.shown)
    if not chosen:
        raise UserInputError("One channel has to stay on view; switch another one on first.")
    for number in chosen:
        low, high = rows[number].window
        if not low < high:
            raise UserInputError(f"The range {low:g} to {high:g} of {rows[number].name} is empty.")
    return ChannelMix(
        tuple(row.name for row in rows),
        chosen,
        tuple(rows[number].colour for number in chosen),
        tuple(rows[number].window for number in chosen),
    )


def with_measured_windows(rows: Sequence[ChannelRow]) -> tuple[ChannelRow, ...]:
    """The same channels, each with the range that its intensities suggest."""
    return tuple(replace(row, window=row.measured) for row in rows)


def _limits(values: NDArray[np.generic], window: tuple[float, float]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return window
    return min(float(finite.min()), window[0]), max(float(finite.max()), window[1])
