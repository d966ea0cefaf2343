"""Where tissue is, on the overview of a slide.

So that empty glass is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.slides.image.pyramid import Slide

__all__ = ["TissueMask", "find_tissue"]

SATURATION: Final = (0.05, 0.15)
"""Otsu's threshold is kept within these: below lies the colour cast of glass, above the palest stroma. It
is what keeps a field that is all tissue from being split in two."""

COLOURLESS: Final = 0.02
"""Saturation that no pixel of a grey picture reaches; there tissue is what is darker than glass."""

DARKNESS: Final = (0.06, 0.3)
GLASS_PERCENTILE: Final = 95
"""Otsu's threshold below the brightness of glass is kept within these, as for `SATURATION`."""


@dataclass(frozen=True, slots=True, eq=False)
class TissueMask:
    """Tissue on the overview.

    Attributes
    ----------
    mask : (rows, columns) bool array
        True where there is tissue.
    scale : int
        Level-0 pixels along one of its pixels.
    """

    mask: NDArray[np.bool_]
    scale: int

    def at(self, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether there is tissue at level-0 places."""
        r = np.clip((rows // self.scale).astype(int), 0, self.mask.shape[0] - 1)
        c = np.clip((cols // self.scale).astype(int), 0, self.mask.shape[1] - 1)
        return np.asarray(self.mask[r, c])


def find_tissue(slide: Slide) -> TissueMask:
    """Find tissue by its colour, darkness or brightness.

    By darkness on grey glass, by brightness on a dark (fluorescence) slide.
    """
    overview = slide.overview.astype(np.float32) / 255
    brightest = overview.max(axis=2)
    saturation = (brightest - overview.min(axis=2)) / np.maximum(brightest, 1e-3)
    if slide.is_fluorescence:
        signal, threshold = brightest, _otsu(brightest)
    elif saturation.max() < COLOURLESS:
        signal = np.percentile(brightest, GLASS_PERCENTILE).astype(np.float32) - brightest
        threshold = float(np.clip(_otsu(signal), *DARKNESS))
    else:
        signal, threshold = saturation, float(np.clip(_otsu(saturation), *SATURATION))
    smooth = ndimage.median_filter(signal, size=3)
    # One pixel of margin: an overview pixel at the edge of tissue is half glass.
    return TissueMask(ndimage.binary_dilation(smooth > threshold), slide.overview_scale)


def _otsu(signal: NDArray[np.float32]) -> float:
    from skimage.filters import threshold_otsu

    return float(signal.min() if signal.min() == signal.max() else threshold_otsu(signal))
