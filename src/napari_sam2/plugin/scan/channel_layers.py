"""Layers that show the further channels of a scan, lying on it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from napari.layers import Image

from napari_sam2.core.volume import Source, Volume
from napari_sam2.plugin.canvas.placement import lies_alike
from napari_sam2.plugin.scan.channel_colours import colour_fields
from napari_sam2.plugin.scan.prompt_layers import layer_placement
from napari_sam2.plugin.scan.volumes import shown_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.channels.stack import Channel, ChannelStack
    from napari_sam2.plugin.scan.work import ScanWork

__all__ = ["ChannelLayers", "ChannelToOpen", "layer_volume"]

ALIKE: Final = 0.01
"""Part of a voxel by which layers may be shown apart and lie on each other."""


SAMPLE: Final = 500_000
"""Voxels looked at for the range of a window."""


@dataclass(frozen=True, slots=True, eq=False)
class ChannelToOpen:
    """A scan that was read, and is to become a channel.

    Attributes
    ----------
    name : str
        What people call it.
    volume : Volume
        The scan.
    index : int, optional
        Which volume of its file it is, where that holds several.
    """

    name: str
    volume: Volume
    index: int | None = None


class ChannelLayers:
    """One image layer for every further channel.

    The layer that a channel came from, where it is shown voxel on voxel on the scan; else one of its own, with the
    channel's intensities on the scan's grid.

    Parameters
    ----------
    work : ScanWork
        The scan.
    """

    def __init__(self, work: ScanWork) -> None:
        self._work = work
        self._came_from: dict[str, Image] = {}
        self._by_name: dict[str, Image] = {}
        self._made: list[Image] = []

    @property
    def all(self) -> tuple[Image, ...]:
        """Layers in the viewer that show channels, or a checkerboard."""
        layers = self._work.workspace.viewer.layers
        known = dict.fromkeys((*self._by_name.values(), *self._made))
        return tuple(layer for layer in known if layer in layers)

    def of(self, name: str) -> Image | None:
        """The layer of a channel; None when it was deleted."""
        layer = self._by_name.get(name)
        return layer if layer is not None and layer in self._work.workspace.viewer.layers else None

    def remember(self, name: str, layer: Image) -> None:
        """Say which layer a channel comes from."""
        self._came_from[name] = layer

    def forget(self, name: str) -> None:
        """Drop what was remembered of a channel that is not used."""
        self._came_from.pop(name, None)

    def show(self, stack: ChannelStack | None) -> None:
        """Give every channel that has none its layer."""
        for channel in () if stack is None else stack.further:
            if channel.name not in self._by_name:
                layer = self._by_name[channel.name] = self._layer_for(channel)
                _allow_all_values(layer, channel.laid.voxels)
                _allow_all_values(self._work.image, self._work.shown.volume.voxels)

    def set_seen(self, name: str, on: bool) -> None:
        """Show a channel above the others, or hide it."""
        layer = self.of(name)
        if layer is None:
            layer = self._by_name[name] = self._own(self._channel(name))
        if on:
            layers = self._work.workspace.viewer.layers
            top = max(layers.index(one) for one in (self._work.image, *self.all))
            if layers.index(layer) != top:
                layers.move(layers.index(layer), top + 1)
        layer.visible = on

    def add(self, voxels: NDArray[Any], name: str, limits: tuple[float, float], **fields: Any) -> Image:
        """A hidden image layer on the scan's grid.

        Right above it; the selection stays. `fields` are further ones of the layer, such as its colour.
        """
        work, layers = self._work, self._work.workspace.viewer.layers
        active = layers.selection.active
        place = layer_placement(work.image, work.shown)
        fields |= {"name": name, "visible": False, "contrast_limits": limits}
        layer = Image(work.shown.grid.shown(voxels), **place, **fields)
        top = max(layers.index(one) for one in (work.image, *self.all) if one in layers)
        # napari selects what is new: it has to be known as the scan's own by then.
        self._made = [*(one for one in self._made if one in layers), layer]
        layers.insert(top + 1, layer)
        layers.selection.active = active
        return layer

    def _layer_for(self, channel: Channel) -> Image:
        came_from = self._came_from.pop(channel.name, None)
        layers = self._work.workspace.viewer.layers
        if came_from is None or came_from not in layers:
            return self._own(channel)
        if channel.placed == "same grid" and _covers(came_from, self._work.image):
            return came_from
        # It lies turned or elsewhere on the canvas: what is seen from now on lies on the scan.
        own = self._own(channel)
        own.visible, came_from.visible = came_from.visible, False
        return own

    def _channel(self, name: str) -> Channel:
        stack = self._work.snapshot.channels
        further = () if stack is None else stack.further
        return next(channel for channel in further if channel.name == name)

    def _own(self, channel: Channel) -> Image:
        window = channel.window
        name = f"{channel.name} on {self._work.image.name}"
        return self.add(channel.laid.voxels, name, (window.low, window.high), **colour_fields(channel.volume))


def _allow_all_values(layer: Image, voxels: NDArray[Any]) -> None:
    """Let a layer's window be drawn as far as its values go."""
    step = max(1, round((voxels.size / SAMPLE) ** (1 / 3)))
    seen = voxels[::step, ::step, ::step]
    finite = seen[np.isfinite(seen)]
    low, high = layer.contrast_limits
    if finite.size:
        low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if high > low:
        layer.contrast_limits_range = (low, high)


def _covers(layer: Image, image: Image) -> bool:
    """Whether two layers show their voxels at the same places."""
    if layer.multiscale or image.multiscale or layer.data.shape != image.data.shape:
        return False
    return lies_alike(layer, image, image.data.shape)


def layer_volume(work: ScanWork, layer: Image) -> Volume:
    """The scan of a layer.

    Placed by its file; by the canvas where it is shown voxel for voxel on the image.

    Raises
    ------
    UserInputError
        If the layer shows no scan.
    """
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
