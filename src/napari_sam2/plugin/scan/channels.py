"""Other image layers as channels of a scan."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from napari.layers import Image

from napari_sam2.channels.mix import AUTO, PROMPT, said_mix
from napari_sam2.channels.opening import open_channel
from napari_sam2.core.volume import Source, Volume
from napari_sam2.core.window import Window
from napari_sam2.plugin.scan.volumes import shown_volume

if TYPE_CHECKING:
    from napari_sam2.channels.stack import Channel
    from napari_sam2.plugin.scan.work import ScanWork
    from napari_sam2.session.session import Session

__all__ = ["add_layer", "offered_layers", "said_image", "use_image", "ways_to_see"]

ALIKE: Final = 0.01
"""Part of a voxel by which layers may be shown apart and lie on each other."""

_FORBIDDEN: Final = re.compile(r"[^\w.+-]+")


def offered_layers(work: ScanWork) -> list[Image]:
    """Grey image layers that could be further channels, of any plugin."""
    layers = work.workspace.viewer.layers
    return [layer for layer in layers if isinstance(layer, Image) and layer is not work.image and not layer.rgb]


def add_layer(work: ScanWork, layer: Image, *, register: bool = False) -> None:
    """Take a layer as a channel, with the window it has."""
    volume = _volume_of(work, layer)
    low, high = (float(value) for value in layer.contrast_limits)
    window = Window(low, high, "level/width")
    name = channel_name(layer)

    def add(session: Session) -> Channel:
        channel = open_channel(session.volume, volume, name, register=register, window=window)
        session.add_channel(channel)
        return channel

    def tell(channel: Channel) -> None:
        said = " ".join(f"{note}" for note in channel.notes) or "it lies on the same grid."
        work.workspace.say(f"{channel.name} is a channel now: {said}")

    work.ask(add, tell)


def _volume_of(work: ScanWork, layer: Image) -> Volume:
    """The layer's scan, placed by its file; by the canvas where it is shown voxel for voxel on the image."""
    shown, image = shown_volume(layer), work.image
    if shown.proven or layer.multiscale or layer.data.shape != image.data.shape:
        return shown.volume
    corners = np.array(list(product(*[(0, n - 1) for n in image.data.shape])))
    here, there = (np.array([one.data_to_world(corner) for corner in corners]) for one in (layer, image))
    if not np.allclose(here, there, atol=ALIKE * min(work.shown.volume.spacing)):
        return shown.volume
    reference = work.shown.volume
    voxels = np.asarray(work.shown.grid.stored(np.asarray(layer.data)))
    return Volume(voxels, reference.affine, reference.oriented, Source(name=layer.name))


def channel_name(layer: Image) -> str:
    """What a layer is called as a channel."""
    return _FORBIDDEN.sub("-", layer.name).strip("-") or "channel"


def ways_to_see(work: ScanWork) -> list[str]:
    """What a model can be shown of several channels."""
    stack = work.snapshot.channels
    return [AUTO, PROMPT, *stack.names] if stack is not None and stack.several else []


def use_image(work: ScanWork, spec: str) -> None:
    """Choose what the model sees of this object, and new ones."""
    object_id = work.current

    def use(session: Session) -> None:
        session.fusion = spec
        if object_id in session.objects and session.objects[object_id].prompts:
            session.use_mix(object_id, spec)

    work.ask(use)


def said_image(work: ScanWork) -> str:
    """What the model sees of the current object, in words."""
    stack = work.snapshot.channels
    obj = work.snapshot.objects.get(work.current)
    if stack is None or not stack.several:
        return ""
    return said_mix(None if obj is None else obj.mix, stack.names) if obj is not None and obj.mix else "not chosen yet"
