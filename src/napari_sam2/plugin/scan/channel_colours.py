"""Colours that a file states for its channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.utils import Colormap

if TYPE_CHECKING:
    from napari_sam2.core.volume import Volume

__all__ = ["colour_fields"]

WHITE: Final = (255, 255, 255)


def colour_fields(volume: Volume) -> dict[str, Any]:
    """Arguments of an image layer for the channel that a volume is.

    Its colour, added to those of other layers; hidden where the file has it switched off. Nothing where the file states
    no colour.
    """
    display = volume.source.display
    if display is None:
        return {}
    fields: dict[str, Any] = {} if display.shown else {"visible": False}
    if display.colour is None or display.colour == WHITE:
        return fields
    colour = [part / 255 for part in display.colour]
    name = "#{:02x}{:02x}{:02x}".format(*display.colour)
    return {**fields, "colormap": Colormap([[0.0, 0.0, 0.0], colour], name=name), "blending": "additive"}
