"""What a reader of one kind of file hands to `open_slide`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import EnvironmentLacksError

if TYPE_CHECKING:
    from napari_sam2.core.channel_display import ChannelDisplay
    from napari_sam2.core.pixel_size import Mpp
    from napari_sam2.slides.image.pyramid import PixelSource

__all__ = ["OpenedFile", "need"]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """Pixels, and what the file says of them.

    Attributes
    ----------
    source : PixelSource
        Reads raw pixels; closed by whoever gets this.
    mpp : Mpp, optional
        Microns per pixel, where the file states them.
    is_rgb : bool, optional
        What the file says of three channels: RGB samples, or separate channels; None when it says nothing.
    displays : tuple of ChannelDisplay
        How the file shows its channels; empty, or as many as it names.
    notes : tuple of str
        Sentences about odd things.
    """

    source: PixelSource
    mpp: Mpp | None = None
    is_rgb: bool | None = None
    displays: tuple[ChannelDisplay, ...] = ()
    notes: tuple[str, ...] = ()


def need(module: str) -> Any:
    """A module of the extra ``[slide]``.

    Raises
    ------
    EnvironmentLacksError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EnvironmentLacksError(
            f'Slides need {module}, which is not installed; run: pip install "napari-sam2[slide]".'
        ) from error
