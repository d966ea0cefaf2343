"""Two channels in the squares of a checkerboard.

Borders that go on from square to square show that they lie on each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sam2.channels.stack import Channel
    from napari_sam2.core.volume import Volume
    from napari_sam2.core.window import Window

__all__ = ["checkerboard"]

SQUARES: Final = 8
"""Cubes along the longest side of the scan: large enough to hold a border, small enough to cross every organ."""


def checkerboard(reference: Volume, window: Window, channel: Channel) -> NDArray[np.uint8]:
    """Cubes of a scan and of its channel, in turns.

    Parameters
    ----------
    reference : Volume
        The scan.
    window : Window
        Of the scan.
    channel : Channel
        Lies on it; black where it does not reach.

    Returns
    -------
    (I, J, K) uint8 array
        Both through their windows. Cubes have the same sides in millimetres, whatever the spacing.
    """
    side = max(n * s for n, s in zip(reference.shape, reference.spacing, strict=True)) / SQUARES
    i, j, k = ((np.arange(n) * s // side).astype(int) for n, s in zip(reference.shape, reference.spacing, strict=True))
    board = np.empty(reference.shape, dtype=np.uint8)
    # Slab by slab: a whole scan in floating point would be four times its size.
    for number in range(reference.shape[0]):
        theirs = (i[number] + j[:, None] + k[None, :]) % 2 == 1
        one, two = window.apply(reference.voxels[number]), channel.window.apply(channel.laid.voxels[number])
        board[number] = np.rint(np.where(theirs, two, one) * 255)
    return board
