"""One grey picture that is high inside nuclei.

Of stained tissue it is the absorbance of red light, which haematoxylin takes and eosin lets through; of
fluorescence the logarithm of the intensity, so that bright and dim nuclei have borders of one height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Look", "absorbances", "contrast", "look_of", "nuclear_signal"]

DARK_OFFSET: Final = 8.0
"""Grey values added before the logarithm: what is darker than this is noise of the camera."""

INK_OFFSET: Final = 4.0
"""The same for absorbance, so that black stays finite."""

RANGE_PERCENTILES: Final = (0.5, 99.9)
"""Of the contrast; candidates are looked for between them."""

SMALLEST_RANGES: Final = {False: 0.2, True: 0.4}
"""Of absorbance on a bright and of logarithms on a dark background. A slide whose signal varies less holds nothing:
its noise is not stretched into objects."""

SMOOTHING: Final = 1 / 24
"""Standard deviation of the smoothing over the diameter of a nucleus, at least `SMALLEST_SMOOTHING` pixels."""

SMALLEST_SMOOTHING: Final = 0.7

SURROUNDINGS: Final = 1.0
"""Standard deviation of the mean around a place, over the diameter: nuclei of a dark and of a pale part of the tissue
are then cut at like thresholds, and those that touch are parted earlier."""

REACH: Final = 4.0
"""How far that mean goes, over the diameter."""


@dataclass(frozen=True, slots=True)
class Look:
    """How nuclei look on one slide.

    The same for all of its tiles.

    Attributes
    ----------
    is_dark : bool
        Whether the background is black (fluorescence).
    channel : int
        Of the RGB picture: where the signal is taken from; 0 for stained tissue.
    low, high : float
        Range of the contrast.
    hue : float
        Mean share of red in the absorbance, see `redness`.
    """

    is_dark: bool
    channel: int
    low: float
    high: float
    hue: float

    @property
    def span(self) -> float:
        """High minus low."""
        return self.high - self.low

    @property
    def is_empty(self) -> bool:
        """Whether the slide shows nothing but noise."""
        return self.span < SMALLEST_RANGES[self.is_dark]


def look_of(samples: Sequence[NDArray[np.uint8]], is_dark: bool, diameter: float) -> Look:
    """Learn the look from pieces of a slide.

    Parameters
    ----------
    samples : sequence of (rows, columns, 3) uint8 arrays
        RGB, of the scale on which nuclei are looked for.
    is_dark : bool
        Whether the background is black.
    diameter : float
        Expected one, in pixels of the samples.
    """
    channel = _brightest_channel(samples) if is_dark else 0
    signals = [contrast(nuclear_signal(piece, is_dark, channel), diameter) for piece in samples]
    values = np.concatenate([signal.ravel() for signal in signals])
    low, high = (float(v) for v in np.percentile(values, RANGE_PERCENTILES))
    hue = float(np.mean([redness(piece).mean() for piece in samples]))
    return Look(is_dark, channel, low, high, hue)


def nuclear_signal(rgb: NDArray[np.uint8], is_dark: bool, channel: int) -> NDArray[np.float32]:
    """Signal (rows, columns) of an RGB picture."""
    grey = rgb[..., channel].astype(np.float32)
    if is_dark:
        return np.asarray(np.log(grey + np.float32(DARK_OFFSET)))
    return np.asarray(-np.log((grey + np.float32(INK_OFFSET)) / np.float32(255 + INK_OFFSET)))


def absorbances(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Absorbance of red, green and blue, (rows, columns, 3)."""
    return np.asarray(-np.log((rgb.astype(np.float32) + np.float32(INK_OFFSET)) / np.float32(255 + INK_OFFSET)))


def redness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much more red than green is absorbed.

    Over all absorbance: high for haematoxylin, low for eosin.
    """
    red, green, blue = np.moveaxis(absorbances(rgb), 2, 0)
    return np.asarray((red - green) / (red + green + blue + np.float32(0.3)))


def contrast(signal: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """The signal over that of its surroundings.

    Without the grain inside nuclei of a diameter.
    """
    fine = ndimage.gaussian_filter(signal, max(SMALLEST_SMOOTHING, diameter * SMOOTHING))
    around = ndimage.gaussian_filter(signal, diameter * SURROUNDINGS, truncate=REACH / SURROUNDINGS)
    return np.asarray(fine - around)


def _brightest_channel(samples: Sequence[NDArray[np.uint8]]) -> int:
    """Blue, where nuclear stains are shown, unless it is all but empty; grey pictures are the same in all three."""
    spans = [max(float(np.percentile(piece[..., c], 99.9)) for piece in samples) for c in range(3)]
    return 2 if spans[2] >= 0.3 * max(spans) else int(np.argmax(spans))
