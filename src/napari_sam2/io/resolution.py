"""Microns per pixel, as a file states them.

From every place where it may state them, and never invented.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "images_of_ome",
    "microns_of",
    "mpp_from_imagej",
    "mpp_from_ome",
    "mpp_from_properties",
    "mpp_from_tiff_tags",
    "number_of",
    "parse_mpp",
    "parse_size",
]

PLAUSIBLE_MPP: Final = (0.01, 20.0)
"""Microns. Below is beyond light microscopy; above, the tag is a screen's or a printer's density
(72 dpi is 353, 300 dpi is 85), which says nothing about the specimen."""

MICRONS: Final = {
    "pm": 1e-6, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6,
    "in": 25400.0, "Å": 1e-4,
}  # fmt: skip
"""OME's UnitsLength, as far as a slide could use them; the micro sign and the Greek letter both occur."""

_IMAGEJ_UNITS: Final = {"microns": "um", "micrometer": "um", "micrometers": "um", "nanometer": "nm", "inch": "in"}
_PROPERTY_PAIRS: Final = (
    ("openslide.mpp-x", "openslide.mpp-y"),
    ("tiffslide.mpp-x", "tiffslide.mpp-y"),
    ("aperio.MPP", "aperio.MPP"),
)


def parse_mpp(text: float | str) -> Mpp:
    """Read what a person states: one number, or ``"row,column"``.

    Raises
    ------
    UserInputError
        If it is not a plausible size.
    """
    try:
        numbers = [float(part) for part in str(text).split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(math.isfinite(n) and n > 0 for n in numbers):
        raise UserInputError(f"Microns per pixel (--mpp) must be like 0.25, or row,column like 0.25,0.25; got {text}.")
    return Mpp(numbers[0], numbers[-1], "given")


def parse_size(text: str, mpp: Mpp | None, name: str) -> float:
    """Level-0 pixels of a size such as ``"60um"`` or ``"240px"``.

    On the slide `name`.

    Raises
    ------
    UserInputError
        If it is none, or microns are given and neither the file nor a person has stated a pixel's size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(px|um|µm|μm)\s*", text)
    if match is None:
        raise UserInputError(f"The object size must be like 60um or 240px; got {text!r}.")
    if match[2] == "px":
        return float(match[1])
    if mpp is None:
        raise UserInputError(
            f"{name} does not say how many microns a pixel measures; state it (with --mpp 0.25, or in the panel), or "
            "give the size in px."
        )
    return float(match[1]) / mpp.mean


def mpp_from_properties(properties: Mapping[str, Any]) -> Mpp | None:
    """Look through the properties of OpenSlide and tiffslide."""
    for x_name, y_name in _PROPERTY_PAIRS:
        mpp = _plausible(number_of(properties.get(y_name)), number_of(properties.get(x_name)), x_name)
        if mpp is not None:
            return mpp
    return None


def mpp_from_ome(xml: str, number: int = 0) -> Mpp | None:
    """Read PhysicalSizeX and PhysicalSizeY of one image in OME-XML, by its place."""
    images = images_of_ome(xml)
    if number >= len(images):
        return None
    pixels = next((e for e in images[number].iter() if re.sub(r"^\{.*\}", "", e.tag) == "Pixels"), None)
    if pixels is None:
        return None
    sizes = []
    for axis in "YX":
        unit = MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        size = number_of(pixels.get(f"PhysicalSize{axis}"))
        sizes.append(None if unit is None or size is None else size * unit)
    return _plausible(sizes[0], sizes[1], "OME-XML PhysicalSize")


def images_of_ome(xml: str | None) -> list[ElementTree.Element]:
    """The Image elements of OME-XML in their order.

    None if it cannot be trusted or read.
    """
    if not xml or "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return []
    with contextlib.suppress(ElementTree.ParseError):
        root = ElementTree.fromstring(xml)  # noqa: S314 - no document type, so no entities to expand
        return [e for e in root.iter() if re.sub(r"^\{.*\}", "", e.tag) == "Image"]
    return []


def microns_of(unit: object) -> float | None:
    """Microns in a unit as OME-XML or ImageJ spell it.

    None for pixels and what is not known.
    """
    text = str(unit).replace("\\u00B5", "µ").strip()
    return MICRONS.get(text, MICRONS.get(_IMAGEJ_UNITS.get(text.lower(), "")))


def mpp_from_imagej(tiff: Any, tags: Any) -> Mpp | None:
    """Read the calibration of ImageJ and Fiji.

    Pixels per unit in the resolution tags, the unit in the description.
    """
    microns = microns_of((tiff.imagej_metadata or {}).get("unit", ""))
    if microns is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    densities = [number_of(tags[name].value) for name in ("YResolution", "XResolution")]
    if any(d is None or d <= 0 for d in densities):
        return None
    row, col = (microns / d for d in densities if d)
    return _plausible(row, col, "ImageJ calibration")


def mpp_from_tiff_tags(tags: Any) -> Mpp | None:
    """Read XResolution, YResolution and ResolutionUnit of a TIFF page.

    Parameters
    ----------
    tags : tifffile.TiffTags
        Of the full-size page.
    """
    microns = {2: 25400.0, 3: 10000.0, 4: 1000.0, 5: 1.0}
    if "ResolutionUnit" not in tags or "XResolution" not in tags or "YResolution" not in tags:
        return None
    unit = microns.get(int(tags["ResolutionUnit"].value))
    densities = [number_of(tags[name].value) for name in ("YResolution", "XResolution")]
    if unit is None or any(d is None or d <= 0 for d in densities):
        return None
    row, col = (unit / d for d in densities if d)
    return _plausible(row, col, "TIFF resolution tags")


def _plausible(row: float | None, col: float | None, origin: str) -> Mpp | None:
    low, high = PLAUSIBLE_MPP
    if row is None or col is None or not (low <= row <= high and low <= col <= high):
        return None
    return Mpp(row, col, origin)


def number_of(value: Any) -> float | None:
    """A finite number as a tag or text states it.

    A TIFF rational among them; None for what is none.
    """
    if isinstance(value, tuple) and len(value) == 2:  # a TIFF rational
        return value[0] / value[1] if value[1] else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
