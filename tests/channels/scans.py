"""Scans of one body in two channels, neither of which shows the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_sam2.channels.stack import ChannelStack, place_channel
from napari_sam2.core.volume import Source, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (72, 72, 16)
SPACING = (1.0, 1.0, 2.0)
CENTRE, RADII = (36, 32, 8), (15, 12, 6)


def two_channels(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Two textures alike, the object a little brighter in one and darker in the other: seen in the difference only."""
    rng = np.random.default_rng(seed)
    places = np.indices(SHAPE)
    inside = sum(((p - c) / r) ** 2 for p, c, r in zip(places, CENTRE, RADII, strict=True)) < 1
    texture = ndimage.gaussian_filter(rng.standard_normal(SHAPE), (3, 3, 1.5))
    texture /= texture.std()
    own = [ndimage.gaussian_filter(rng.standard_normal(SHAPE), (1, 1, 0.5)) for _ in range(2)]
    first, second = (500 + 100 * texture + sign * 25 * inside + 14 * n for sign, n in zip((1, -1), own, strict=True))
    return first.astype(np.float32), second.astype(np.float32), np.asarray(inside)


def volume(voxels: NDArray[np.float32], name: str = "array") -> Volume:
    """A scan of that texture."""
    return Volume(voxels, np.diag([*SPACING, 1.0]), source=Source(name=name))


def stack_of(first: Volume, *others: Volume) -> ChannelStack:
    """Channels called ``a``, ``b`` and so on, the first one the reference."""
    placed = (place_channel(first, other, chr(ord("b") + number)) for number, other in enumerate(others))
    return ChannelStack(first, tuple(placed), "a")
