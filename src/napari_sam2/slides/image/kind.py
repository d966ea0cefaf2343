"""What kind of picture a slide is.

How its channels are coloured, and whether its background is bright or dark.

The one place that decides it, first by what the file says (photometric tag, kind of samples, names of channels),
then by the picture itself; a person may overrule both. Colours are never stretched channel by channel, which
would change hues; intensities of fluorescence are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.core.channel_display import ChannelDisplay
from napari_sam2.errors import UserInputError
from napari_sam2.io.photometric import colour_range
from napari_sam2.slides.image.channels import ChannelMix, choose_mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.slides.image.pyramid import PixelSource

__all__ = ["COARSEST_NEEDED", "POLARITIES", "PictureKind", "classify", "survey_of", "surveyed"]

COARSEST_NEEDED: Final = 4096
"""A coarsest level larger than this makes overviews slow, and is judged by its middle."""

POLARITIES: Final = ("auto", "bright", "dark")
"""What a person may say of the background: brightfield on glass, or fluorescence on black."""

RGB: Final = ("red", "green", "blue")
_RGB_NAMES: Final = (RGB, ("r", "g", "b"))
_COLOURS: Final = ((255, 0, 0), (0, 255, 0), (0, 0, 255))

DARK_COLOURS: Final = 64
"""RGB whose median pixel is darker than this (of 255) in its brightest channel lies on black."""


@dataclass(frozen=True, slots=True)
class PictureKind:
    """How a slide is shown.

    Attributes
    ----------
    mix : ChannelMix, optional
        How its channels become RGB; None when they are RGB of 8 bits.
    is_dark : bool
        Whether the background is black, as in fluorescence.
    notes : tuple of str
        Sentences about what was not plain.
    """

    mix: ChannelMix | None
    is_dark: bool
    notes: tuple[str, ...] = ()


def classify(
    survey: NDArray[Any],
    *,
    is_rgb: bool | None,
    displays: tuple[ChannelDisplay, ...] = (),
    channels: tuple[str | int, ...] = (),
    polarity: str = "auto",
    name: str = "the slide",
) -> PictureKind:
    """Decide how a picture is shown.

    Parameters
    ----------
    survey : (rows, columns, C) array
        The coarsest level, on which values are looked at.
    is_rgb : bool, optional
        What the file says of three channels: RGB samples, or separate channels; None when it says nothing.
    displays : tuple of ChannelDisplay
        How the file shows its channels, as far as it says.
    channels : tuple of str or int
        Those that a person wants, see `choose_mix`; all that the file shows by default.
    polarity : str
        One of `POLARITIES`.
    name : str
        Of the file, for messages.

    Raises
    ------
    UserInputError
        If there is no such channel or polarity.
    """
    if polarity not in POLARITIES:
        raise UserInputError(f"The polarity {polarity!r} is not known; choose one of {', '.join(POLARITIES)}.")
    notes = _finite_notes(survey, name)
    count = survey.shape[2]
    displays = tuple(displays[i] if i < len(displays) else ChannelDisplay() for i in range(count))
    names = tuple(display.name for display in displays)
    lower = tuple(n.lower() for n in names)
    if count == 3 and is_rgb is None:
        named_otherwise = any(names) and lower not in _RGB_NAMES
        is_rgb = not named_otherwise and survey.dtype == np.uint8 and not _is_dark(survey)
    elif count == 3 and is_rgb is False and lower in _RGB_NAMES:
        is_rgb = True
    if count == 3 and is_rgb:
        return _of_colours(survey, channels, polarity, name, notes)
    mix = choose_mix(survey, displays, channels, name)
    single = count == 1
    is_dark = polarity == "dark" or (polarity == "auto" and not (single and _is_bright(survey[..., 0])))
    if single and not is_dark and survey.dtype == np.uint8 and not channels and displays[0].window is None:
        mix = ChannelMix(mix.names, mix.chosen, mix.colours, ((0.0, 255.0),))
    return PictureKind(mix, is_dark, notes)


def survey_of(source: PixelSource) -> NDArray[Any]:
    """What a slide is judged by, (rows, columns, C).

    Its coarsest level, see `surveyed`.
    """
    last = len(source.level_shapes) - 1
    return source.read(last, *surveyed(source.level_shapes[last]))


def surveyed(shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The piece of a coarsest level that is looked at.

    All of it, or its middle: first row and column, then size.
    """
    height, width = min(shape[0], COARSEST_NEEDED), min(shape[1], COARSEST_NEEDED)
    return (shape[0] - height) // 2, (shape[1] - width) // 2, height, width


def _of_colours(
    survey: NDArray[Any], channels: tuple[str | int, ...], polarity: str, name: str, notes: tuple[str, ...]
) -> PictureKind:
    is_dark = polarity == "dark" or (polarity == "auto" and _is_dark(survey))
    if channels:
        displays = tuple(map(ChannelDisplay, RGB, _COLOURS))
        return PictureKind(choose_mix(survey, displays, channels, name), is_dark, notes)
    if survey.dtype == np.uint8:
        return PictureKind(None, is_dark, notes)
    full = colour_range(survey)
    note = f"{name} holds colours of type {survey.dtype}; {full:g} is taken as full colour."
    return PictureKind(ChannelMix(RGB, (0, 1, 2), _COLOURS, ((0.0, full),) * 3), is_dark, (*notes, note))


def _is_dark(survey: NDArray[Any]) -> bool:
    """Whether RGB lies on black."""
    brightest = survey[..., :3].max(axis=2)
    finite = brightest[np.isfinite(brightest)]
    if finite.size == 0:
        return False
    return bool(np.median(finite) * (255 / colour_range(survey)) < DARK_COLOURS)


def _is_bright(grey: NDArray[Any]) -> bool:
    """Whether grey values lie on a bright background: most pixels nearer to the brightest than to the darkest."""
    finite = grey[np.isfinite(grey)]
    if finite.size == 0:
        return False
    low, middle, high = np.percentile(finite, (0.5, 50, 99.5))
    return bool(middle - low > high - middle)


def _finite_notes(survey: NDArray[Any], name: str) -> tuple[str, ...]:
    if survey.dtype.kind != "f":
        return ()
    count = int(survey.size - np.count_nonzero(np.isfinite(survey)))
    return (
        (f"{name} holds values that are not numbers or infinite; they are shown as black or white.",) if count else ()
    )
