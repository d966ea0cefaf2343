"""What the samples of a picture mean.

Grey or colour, which way round, by palette or inks, of how many bits.

The one place that decides it, for flat pictures and slides alike, by the tags of TIFF 6.0 (section 8) and its
supplements. What cannot be turned into grey or RGB with certainty is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_sam2.errors import ImageFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Samples", "colour_range", "over_white", "samples_of", "to_8_bits"]

_KINDS: Final = {"MINISWHITE": "grey", "MINISBLACK": "grey", "RGB": "rgb", "PALETTE": "palette", "SEPARATED": "cmyk"}
_JPEG_LIKE: Final = ("JPEG", "OJPEG", "JPEG_99")
"""Compressions whose decoder gives RGB for pixels that are stored as YCbCr."""

_FULL_SCALES: Final = (255, 1023, 4095, 16383, 65535)
"""The largest values of 8, 10, 12, 14 and 16 bits, as cameras have them."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """How stored samples become grey or RGB.

    Attributes
    ----------
    kind : str
        ``"grey"``, ``"rgb"``, ``"palette"`` or ``"cmyk"``, as stored.
    inverted : bool
        Whether 0 is white.
    has_alpha : bool
        Whether the last sample says how opaque a pixel is.
    bits : int
        Of a sample.
    palette : (N, 3) uint8 array, optional
        Colours by index.
    """

    kind: str
    inverted: bool = False
    has_alpha: bool = False
    bits: int = 8
    palette: NDArray[np.uint8] | None = None

    @property
    def is_colour(self) -> bool:
        """Whether `apply` gives RGB."""
        return self.kind != "grey"

    def channels_of(self, n_stored: int) -> int:
        """Channels that `apply` gives for so many stored samples."""
        return 3 if self.is_colour else n_stored - self.has_alpha

    def dtype_of(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Type that `apply` gives for stored samples of a type."""
        return np.dtype(np.uint8) if self.kind in ("palette", "cmyk") or self.bits == 1 else stored

    @property
    def is_plain(self) -> bool:
        """Whether stored samples are grey or RGB already."""
        return self.kind in ("grey", "rgb") and not self.inverted and not self.has_alpha and self.bits != 1

    def apply(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Grey or RGB pixels of stored samples.

        Grey (rows, columns, 1) or RGB (rows, columns, 3) of (rows, columns, S).

        Palettes and inks become uint8; others keep their type. Transparent places become white.
        """
        if self.bits == 1 and stored.dtype.kind in "bu":
            stored = (stored != 0).astype(np.uint8) * np.uint8(255 if self.palette is None else 1)
        if self.palette is not None:
            coloured: NDArray[np.uint8] = self.palette[np.minimum(stored[..., 0], len(self.palette) - 1)]
            return coloured
        alpha = stored[..., -1:] if self.has_alpha else None
        pixels = stored[..., :-1] if self.has_alpha else stored
        if self.kind == "rgb":
            pixels = pixels[..., :3]  # a fourth sample whose meaning no tag states is no colour
        if self.kind == "cmyk":
            light = 1 - pixels[..., :4].astype(np.float32) / np.iinfo(pixels.dtype).max
            pixels = np.rint(255 * light[..., :3] * light[..., 3:4]).astype(np.uint8)
        if self.inverted:
            pixels = self._top(pixels.dtype) - pixels
        return pixels if alpha is None else over_white(pixels, alpha)

    def _top(self, dtype: np.dtype[Any]) -> Any:
        if dtype.kind != "u":
            return dtype.type(0)
        return dtype.type(255 if self.bits == 1 else 2 ** min(self.bits, dtype.itemsize * 8) - 1)


def samples_of(page: Any, name: str) -> Samples:
    """What the samples of a TIFF page mean.

    Parameters
    ----------
    page : tifffile.TiffPage
        Of the picture that is to be shown.
    name : str
        Of the file, for messages.

    Raises
    ------
    ImageFileError
        If they are of a kind that is not turned into grey or RGB here.
    """
    photometric = getattr(page.photometric, "name", str(page.photometric))
    if photometric == "YCBCR" and getattr(page.compression, "name", "") in _JPEG_LIKE:
        photometric = "RGB"
    kind = _KINDS.get(photometric)
    if kind == "cmyk" and (page.samplesperpixel < 4 or page.dtype is None or page.dtype.kind != "u"):
        kind = None
    if kind is None:
        raise ImageFileError(
            f"{name} stores its colours as {photometric}, which is not read here; save it as RGB or grey."
        )
    extra = tuple(getattr(page, "extrasamples", ()) or ())
    colours = {"grey": 1, "palette": 1, "rgb": 3, "cmyk": 4}[kind]
    has_alpha = page.samplesperpixel == colours + 1 and bool(extra) and int(extra[-1]) in (1, 2)
    palette = None
    if kind == "palette":
        if page.colormap is None:
            raise ImageFileError(f"{name} is damaged: it has indexed colours but no palette; export it again.")
        palette = np.ascontiguousarray((page.colormap.T >> 8).astype(np.uint8))
    return Samples(kind, photometric == "MINISWHITE", has_alpha, int(page.bitspersample), palette)


def over_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Lay partly transparent pixels on white.

    Parameters
    ----------
    pixels : (rows, columns, C) array
        Grey or RGB.
    alpha : (rows, columns, 1) array
        Of the same type; its largest value is opaque, or 1 for fractions.
    """
    opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1
    if (alpha == opaque).all():
        return pixels
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
    share = alpha.astype(np.float32) / opaque
    laid = pixels.astype(np.float32) * share + white * (1 - share)
    return (np.rint(laid) if pixels.dtype.kind in "ui" else laid).astype(pixels.dtype)


def colour_range(sample: NDArray[Any]) -> float:
    """The value of full colour, by type and content.

    A 12-bit camera writes into 16 bits.

    Parameters
    ----------
    sample : array
        Colour values of the whole picture, or of an overview of it.
    """
    if sample.dtype.kind == "b":
        return 1.0
    if sample.dtype == np.uint8:
        return 255.0
    finite = sample[np.isfinite(sample)]
    largest = float(finite.max()) if finite.size else 0.0
    if sample.dtype.kind == "f" and largest <= 1:
        return 1.0
    return float(next((full for full in _FULL_SCALES if largest <= full), largest))


def to_8_bits(colours: NDArray[Any], full: float | None = None) -> NDArray[np.uint8]:
    """Colours of any type as uint8, scaled as one.

    Never channel by channel, which would change hues.

    Parameters
    ----------
    colours : (..., 3) array
        RGB.
    full : float, optional
        The value of full colour; `colour_range` of these by default.
    """
    if colours.dtype == np.uint8:
        return colours
    top = colour_range(colours) if full is None else full
    scaled = np.nan_to_num(colours.astype(np.float32) * np.float32(255 / top), nan=0.0, posinf=255.0, neginf=0.0)
    eight: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return eight
