"""Names, colours and ranges of channels in TIFF files.

Of OME-XML and ImageJ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.core.channel_display import LARGEST_END, ChannelDisplay
from napari_sam2.io.resolution import images_of_ome

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["displays_of_imagej", "displays_of_ome"]

_WHITE = (255, 255, 255)


def displays_of_ome(xml: str | None, number: int) -> tuple[ChannelDisplay, ...]:
    """Channels of one image in OME-XML, by its place.

    Their names and colours: a signed integer of red, green, blue and alpha. OME-XML has no ranges. White for each of
    several channels is the standard's default and says nothing.
    """
    images = images_of_ome(xml)
    if number >= len(images):
        return ()
    channels = [element for element in images[number].iter() if element.tag.endswith("}Channel")]
    displays = tuple(ChannelDisplay(e.get("Name") or "", _packed(e.get("Color"))) for e in channels)
    if len(displays) > 1 and all(display.colour in (None, _WHITE) for display in displays):
        return tuple(ChannelDisplay(display.name) for display in displays)
    return displays


def displays_of_imagej(metadata: Mapping[str, Any] | None, n_channels: int) -> tuple[ChannelDisplay, ...]:
    """Channels of a file of ImageJ or Fiji.

    Labels, ranges, and the last colour of each look-up table.

    Parameters
    ----------
    metadata : mapping, optional
        ``imagej_metadata`` of tifffile.
    n_channels : int
        Of the picture.
    """
    if not metadata:
        return ()
    labels = metadata.get("Labels") or ()
    labels = [labels] if isinstance(labels, str) else list(labels)
    ranges = list(metadata.get("Ranges") or ())
    if not ranges and "min" in metadata and "max" in metadata:
        ranges = [metadata["min"], metadata["max"]]
    tables = list(metadata.get("LUTs") or ())
    return tuple(
        ChannelDisplay(
            str(labels[c]).split("\n")[0] if c < len(labels) else "", _last_colour(tables, c), _range(ranges, c)
        )
        for c in range(n_channels)
    )


def _packed(text: str | None) -> tuple[int, int, int] | None:
    try:
        number = int(text or "") & 0xFFFFFFFF
    except ValueError:
        return None
    colour = number >> 24, number >> 16 & 255, number >> 8 & 255
    return colour if any(colour) else None


def _last_colour(tables: list[Any], channel: int) -> tuple[int, int, int] | None:
    """The colour of the brightest value.

    None for a table that does not rise from black.
    """
    if channel >= len(tables):
        return None
    table = np.asarray(tables[channel])
    if table.shape != (3, 256) or table[:, 0].any() or not table[:, -1].any():
        return None
    red, green, blue = (int(value) for value in table[:, -1])
    return red, green, blue


def _range(ranges: list[Any], channel: int) -> tuple[float, float] | None:
    pair = ranges[2 * channel : 2 * channel + 2]
    try:
        low, high = (float(end) for end in pair)
    except (TypeError, ValueError, OverflowError):
        return None
    return (low, high) if -LARGEST_END <= low < high <= LARGEST_END else None
