"""One mix of channels for many structures.

The direction along which structures differ most from what lies around them, over how much either differs in itself:
Rao's discriminant of several pairs (Journal of the Royal Statistical Society B 10, 1948), with a shrunken covariance.
Where one channel parts them as well it is taken alone, as for a single prompt (`napari_sam2.channels.weights`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from napari_sam2.channels.weights import LEAST_GAIN, LEAST_OTHER_GAIN, SHRINKAGE, mix_along, parted
from napari_sam2.core.mix import Mix, only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Sides", "pooled_mix"]


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Pixels of one structure of one scan.

    Attributes
    ----------
    inside, around : (N, C) arrays
        Windowed channels, in [0, 1].
    subject : str
        Whose scan it is.
    """

    inside: NDArray[np.float64]
    around: NDArray[np.float64]
    subject: str


def pooled_mix(sides: Sequence[Sides], seen: NDArray[np.float64], among: Sequence[int], *, alone: bool = True) -> Mix:
    """The mix that parts many structures from what lies around them.

    Parameters
    ----------
    sides : sequence of Sides
        Of each structure; every one counts the same.
    seen : (N, C) array
        Pixels from all over the scans, for the range of a fused image.
    among : sequence of int
        Channels that may be used, the preferred first.
    alone : bool
        Whether one channel is taken where it parts them as well.

    Returns
    -------
    Mix
        One channel, or a fusion. Its sign is such that it resembles the preferred channel.
    """
    used, n_channels = list(among), seen.shape[1]
    cut = [Sides(one.inside[:, used], one.around[:, used], one.subject) for one in sides]
    if not cut:
        return only(used[0], n_channels)
    if alone:
        best, gain = _judged(cut)
        if gain < LEAST_GAIN:
            return only(used[best], n_channels)
    direction = np.zeros(n_channels)
    direction[used] = _direction(cut)
    return mix_along(direction, seen)


def _direction(sides: Sequence[Sides]) -> NDArray[np.float64]:
    """The leading direction (C,), of length 1."""
    n_channels = sides[0].inside.shape[1]
    within, between = np.zeros((n_channels, n_channels)), np.zeros((n_channels, n_channels))
    for one in sides:
        apart = one.inside.mean(0) - one.around.mean(0)
        between += np.outer(apart, apart) / len(sides)
        for pixels in (one.inside, one.around):
            within += np.cov(pixels.T, ddof=0).reshape(n_channels, n_channels) / (2 * len(sides))
    within += SHRINKAGE * max(float(np.trace(within)) / n_channels, 1e-9) * np.eye(n_channels)
    direction: NDArray[np.float64] = linalg.eigh(between, within)[1][:, -1]
    # An eigenvector has no sign of its own.
    resembles = float((within @ direction)[0])
    return direction / float(np.linalg.norm(direction)) * (-1.0 if resembles < 0 else 1.0)


def _judged(sides: Sequence[Sides]) -> tuple[int, float]:
    """The channel that parts structures best, and what a fusion gains over it.

    Each subject is judged by the others, where there are several.
    """
    subjects = list(dict.fromkeys(one.subject for one in sides))
    alone, fused = np.zeros(sides[0].inside.shape[1]), 0.0
    for subject in subjects:
        own = [one for one in sides if one.subject == subject]
        direction = _direction([one for one in sides if one.subject != subject] or own)
        for one in own:
            fused += _either(one.inside @ direction, one.around @ direction) / len(sides)
            for channel in range(len(alone)):
                alone[channel] += _either(one.inside[:, channel], one.around[:, channel]) / len(sides)
    best = int(alone.argmax())
    if alone[best] < alone[0] + LEAST_OTHER_GAIN:
        best = 0
    return best, fused - float(alone.max())


def _either(inside: NDArray[np.float64], around: NDArray[np.float64]) -> float:
    """How well values part two groups, whichever is brighter."""
    area = parted(inside, around)
    return max(area, 1 - area)
