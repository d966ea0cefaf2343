"""Channels of finished scans, and the mix that is learned from.

The mix is found once, on the subjects that are learned from, and fixed from then on: what a network sees after tuning
must be what it learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sam2.channels.mix import FUSED, left_open, named_mix
from napari_sam2.channels.pooled import Sides, pooled_mix
from napari_sam2.channels.stack import Channel, ChannelStack, place_channel
from napari_sam2.channels.weights import sampled, sides_of_prompt
from napari_sam2.core.mix import only
from napari_sam2.core.prompts import SlicePrompts
from napari_sam2.core.window import choose_window
from napari_sam2.io import read_volume
from napari_sam2.models.seen import SeenChannels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_sam2.core.mix import Mix
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window
    from napari_sam2.tuning.cases import FinishedScan

__all__ = ["FinishedChannel", "mix_of_scans", "placed_again", "seen_channels"]


@dataclass(frozen=True, slots=True)
class FinishedChannel:
    """A further channel of a finished scan, as it was found.

    Attributes
    ----------
    name : str
        What it is called, in every row the same.
    path : Path
        Its file or folder.
    volume_index : int, optional
        Which volume of it.
    sha256 : str
        Of the file.
    transform : tuple of tuple of float, optional
        (4, 4) from world places of the scan to its own, where it was registered.
    window : Window
        How its intensities become [0, 1].
    """

    name: str
    path: Path
    volume_index: int | None
    sha256: str
    transform: tuple[tuple[float, ...], ...] | None
    window: Window

    @classmethod
    def of(cls, channel: Channel, path: Path) -> FinishedChannel:
        """What to keep of a channel that has been read and placed."""
        moved = channel.transform.tolist() if channel.placed == "registered" else None
        transform = None if moved is None else tuple(tuple(row) for row in moved)
        source = channel.volume.source
        return cls(channel.name, path, channel.volume_index, source.sha256, transform, channel.window)


def placed_again(reference: Volume, channels: Sequence[FinishedChannel]) -> ChannelStack:
    """A scan with its channels, laid where they were laid before.

    Raises
    ------
    UserInputError
        If a file cannot be read.
    """
    stack = ChannelStack(reference)
    for one in channels:
        volume = read_volume(one.path, volume_index=one.volume_index)
        transform = None if one.transform is None else np.array(one.transform)
        stack = stack.with_channel(place_channel(reference, volume, one.name, transform=transform, window=one.window))
    return stack


def mix_of_scans(scans: Sequence[FinishedScan], fusion: str) -> Mix:
    """The mix for the structures of several scans.

    Parameters
    ----------
    scans : sequence of FinishedScan
        With channels of the same names; what is learned from.
    fusion : str
        What a person chose, see `napari_sam2.channels.mix.named_mix`; where weights are left open they are found from
        all structures together, see `napari_sam2.channels.pooled`.
    """
    names = ("reference", *(channel.name for channel in scans[0].channels))
    named, decides = named_mix(fusion, names), left_open(fusion, names)
    if named is not None or decides is None:
        return named or only(0, len(names))
    how, among = decides
    if len(among) == 1:
        return only(among[0], len(names))
    sides: list[Sides] = []
    samples: list[NDArray[np.float64]] = []
    for scan in scans:
        volume, labels, structures = scan.read()
        stack, window = scan.stack(volume), choose_window(volume)
        samples.append(sampled(stack, window))
        sides += _sides(scan.subject, stack, window, labels, list(structures))
    return pooled_mix(sides, np.concatenate(samples), among, alone=how != FUSED)


def _sides(
    subject: str, stack: ChannelStack, window: Window, labels: NDArray[np.integer], ids: Sequence[int]
) -> Iterator[Sides]:
    """Pixels inside and around each structure, on the slice where it is largest."""
    axis = stack.reference.default_slice_axis
    plane = stack.reference.plane(axis)
    for label_id in ids:
        inside = np.asarray(labels == label_id)
        index = int(inside.sum(tuple(a for a in range(3) if a != axis)).argmax())
        part = tuple(slice(index, index + 1) if a == axis else slice(None) for a in range(3))
        pixels = np.stack([plane.take(image, 0) for image in stack.windowed(window, part)], axis=-1).astype(np.float64)
        drawn = SlicePrompts(np.zeros((0, 2)), np.zeros(0, dtype=bool), mask=plane.take(inside, index))
        both = sides_of_prompt(plane, drawn, pixels)
        if both is not None:
            yield Sides(pixels[both[0]], pixels[both[1]], subject)


def seen_channels(names: Sequence[str], mix: Mix) -> SeenChannels | None:
    """What a tuned model needs of the channels that were given.

    Parameters
    ----------
    names : sequence of str
        Of the channels beside the reference.
    mix : Mix
        Of the reference and these.

    Returns
    -------
    SeenChannels or None
        Without channels that weigh nothing; None where the reference is seen alone.
    """
    used = [place for place in range(1, 1 + len(names)) if any(any(row[place : place + 1]) for row in mix.weights)]
    if not used:
        return None
    return SeenChannels(tuple(names[place - 1] for place in used), mix.restricted([0, *used]))
