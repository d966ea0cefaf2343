"""The colour of a class that no one has given one.

QuPath's own for its own classes, else one made of the name.
"""

from __future__ import annotations

import colorsys
import hashlib
from typing import Final

__all__ = ["DEFAULT_COLOUR", "QUPATH_COLOURS", "class_colour"]

DEFAULT_COLOUR: Final = (0, 140, 60)
"""Of objects without a class: a dark green, which stands out on the pinks and purples of common stains."""

QUPATH_COLOURS: Final = {
    "Tumor": (200, 0, 0),
    "Stroma": (150, 200, 150),
    "Immune cells": (160, 90, 160),
    "Necrosis": (50, 50, 50),
    "Other": (255, 200, 0),
    "Region*": (0, 0, 180),
    "Ignore*": (180, 180, 180),
    "Positive": (200, 50, 50),
    "Negative": (90, 90, 180),
}
"""From ``qupath.lib.objects.classes.PathClass.StandardPathClasses``."""


def class_colour(name: str) -> tuple[int, int, int]:
    """Red, green, blue (0 to 255) of a class.

    The same for a name in every run.
    """
    if name in QUPATH_COLOURS:
        return QUPATH_COLOURS[name]
    digest = hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).digest()
    # Strong and neither dark nor pale, to be seen on white glass and on black.
    red, green, blue = colorsys.hsv_to_rgb(digest[0] / 256, 0.65 + digest[1] / 256 * 0.35, 0.7 + digest[2] / 256 * 0.25)
    return round(red * 255), round(green * 255), round(blue * 255)
