"""Weights of channels from a prompt.

What lies inside the prompt is held against what lies around it, on the prompted slice, by Fisher's linear
discriminant (Annals of Eugenics 7, 1936) with a shrunken covariance. Where one channel parts them as well, it is taken
alone: an image that a network knows is worth more than a small gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from napari_sam2.core.mix import Mix, only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_sam2.channels.stack import ChannelStack
    from napari_sam2.core.prompts import SlicePrompts
    from napari_sam2.core.volume import SlicePlane
    from napari_sam2.core.window import Window

__all__ = [
    "LEAST_GAIN",
    "LEAST_OTHER_GAIN",
    "SHRINKAGE",
    "mix_along",
    "mix_from_prompt",
    "parted",
    "sampled",
    "sides_of_prompt",
]

SHRINKAGE: Final = 0.05
"""Part of the mean variance that is added to every channel's: channels may be copies of each other."""

AROUND: Final = 0.6
"""Width of what counts as around a box or mask, over its longer side."""

BLOCK: Final = 4
"""Side in pixels of the checkerboard that parts pixels for fitting and judging: neighbours are alike."""

FEWEST: Final = 12
"""Pixels on either side of a prompt that say anything."""

CLICK_RADII: Final = (2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
"""Radii in pixels that are tried for the object under clicks."""

LEAST_GAIN: Final = 0.02
"""How much better than the best single channel a fusion must part the prompt (area under the curve)."""

LEAST_OTHER_GAIN: Final = 0.03
"""The same for another channel than the reference, which is the one that was prompted by eye."""

SAMPLE: Final = 200_000
"""Voxels looked at for the range of a fused image."""

RANGE: Final = (0.5, 99.5)
"""Percentiles that become black and white, as in `napari_sam2.core.window`."""

DIGITS: Final = 6


def mix_from_prompt(
    stack: ChannelStack,
    window: Window,
    plane: SlicePlane,
    index: int,
    prompts: SlicePrompts,
    among: Sequence[int] | None = None,
    *,
    alone: bool = True,
) -> Mix:
    """The mix that parts a prompt from its surroundings.

    Parameters
    ----------
    stack : ChannelStack
        The channels.
    window : Window
        Of the reference.
    plane : SlicePlane
        How slices are laid out.
    index : int
        The prompted slice.
    prompts : SlicePrompts
        What was prompted there.
    among : sequence of int, optional
        Channels that may be used, the preferred first; all by default.
    alone : bool
        Whether one channel is taken where it parts the prompt as well.

    Returns
    -------
    Mix
        One channel, or a fusion of those that may be used.
    """
    part = tuple(index if axis == plane.axis else slice(None) for axis in range(3))
    used = list(range(len(stack)) if among is None else among)
    windowed = stack.windowed(window, part)
    images = [_laid_out(plane, windowed[channel]) for channel in used]
    pixels = np.stack(images, axis=-1).astype(np.float64)
    sides = sides_of_prompt(plane, prompts, pixels)
    if sides is None:
        return only(used[0], len(stack))
    best, fused_gain = _judged(pixels, *sides)
    if alone and fused_gain < LEAST_GAIN:
        return only(used[best], len(stack))
    direction = np.zeros(len(stack))
    direction[used] = _direction(pixels[sides[0]], pixels[sides[1]])
    return mix_along(direction, sampled(stack, window))


def sides_of_prompt(
    plane: SlicePlane, prompts: SlicePrompts, pixels: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Pixels of a slice inside a prompt, and around it.

    Parameters
    ----------
    plane : SlicePlane
        The slice's layout.
    prompts : SlicePrompts
        Box, mask or clicks.
    pixels : (rows, columns, C) array
        Channels in [0, 1]; they say how large the object under clicks is.

    Returns
    -------
    tuple of (rows, columns) arrays of bool, or None
        None where there are too few pixels on either side.
    """
    inside, around = np.zeros(plane.shape, dtype=bool), np.zeros(plane.shape, dtype=bool)
    rows, cols = np.indices(plane.shape, sparse=True)
    if prompts.box is not None:
        row0, col0, row1, col1 = prompts.box
        half, middle = ((row1 - row0) / 2, (col1 - col0) / 2), ((row0 + row1) / 2, (col0 + col1) / 2)
        # A box holds corners of its surroundings: the ellipse in it is the object's more likely part.
        inside = ((rows - middle[0]) / half[0]) ** 2 + ((cols - middle[1]) / half[1]) ** 2 <= 1
        boxed = (abs(rows - middle[0]) <= half[0]) & (abs(cols - middle[1]) <= half[1])
        width = max(2.0, AROUND * 2 * max(half))
        near = (abs(rows - middle[0]) <= half[0] + width) & (abs(cols - middle[1]) <= half[1] + width)
        around = near & ~boxed
    elif prompts.mask is not None:
        inside = prompts.mask.copy()
        filled = [np.ptp(np.flatnonzero(inside.any(axis=axis))) + 1 for axis in (0, 1)]
        distance = ndimage.distance_transform_edt(~inside)
        around = (distance > 1) & (distance <= max(2.0, AROUND * max(filled)))
    elif prompts.positive.any():
        inside, around = _around_clicks(plane, prompts, pixels)
    for (row, col), positive in zip(prompts.points, prompts.positive, strict=True):
        if not positive:
            at_click = (rows - row) ** 2 + (cols - col) ** 2 <= CLICK_RADII[0] ** 2
            inside, around = inside & ~at_click, around | at_click
    return (inside, around) if min(inside.sum(), around.sum()) >= FEWEST else None


def _around_clicks(
    plane: SlicePlane, prompts: SlicePrompts, pixels: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The discs around clicks, and the rings around those, of the size at which they differ most."""
    clicked = np.ones(plane.shape, dtype=bool)
    for row, col in prompts.points[prompts.positive]:
        clicked[_near(row, plane.shape[0]), _near(col, plane.shape[1])] = False
    distance = ndimage.distance_transform_edt(clicked)
    best, most = (distance <= CLICK_RADII[0], distance > CLICK_RADII[0]), -1.0
    for radius in CLICK_RADII:
        inside, around = distance <= radius, (distance > 1.5 * radius) & (distance <= 3 * radius)
        if min(inside.sum(), around.sum()) < FEWEST:
            continue
        apart = _separation(pixels[inside], pixels[around])
        if apart > most:
            best, most = (inside, around), apart
    return best


def _near(coordinate: float, n: int) -> int:
    return min(max(int(np.floor(coordinate + 0.5)), 0), n - 1)


def _separation(inside: NDArray[np.float64], around: NDArray[np.float64]) -> float:
    """Distance of both means along their discriminant in standard deviations; more pixels make it surer."""
    direction = _direction(inside, around)
    one, two = inside @ direction, around @ direction
    spread = np.sqrt((one.var() + two.var()) / 2) + 1e-9
    return float((one.mean() - two.mean()) / spread * len(one) ** 0.25)


def _direction(inside: NDArray[np.float64], around: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher's direction (C,) from around to inside, of length 1."""
    n_channels = inside.shape[1]
    spread = (np.cov(inside.T, ddof=0).reshape(n_channels, -1) + np.cov(around.T, ddof=0).reshape(n_channels, -1)) / 2
    mean_variance = max(float(np.trace(spread)) / n_channels, 1e-9)
    spread = spread + SHRINKAGE * mean_variance * np.eye(n_channels)
    direction: NDArray[np.float64] = np.linalg.solve(spread, inside.mean(0) - around.mean(0))
    length = float(np.linalg.norm(direction))
    return direction / length if length > 0 else np.eye(n_channels)[0]


def _judged(pixels: NDArray[np.float64], inside: NDArray[np.bool_], around: NDArray[np.bool_]) -> tuple[int, float]:
    """The channel that parts a prompt best, and what a fusion gains over it.

    Both are judged on pixels that the discriminant was not fitted to.
    """
    rows, cols = np.ogrid[: inside.shape[0], : inside.shape[1]]
    board = (rows // BLOCK + cols // BLOCK) % 2 == 0
    alone, fused = np.zeros(pixels.shape[-1]), 0.0
    folds = [(board, ~board), (~board, board)]
    if min((side & half).sum() for side in (inside, around) for half in folds[0]) < FEWEST // 2:
        folds = [(np.ones_like(board), np.ones_like(board))]
    for fit, judge in folds:
        direction = _direction(pixels[inside & fit], pixels[around & fit])
        one, two = pixels[inside & judge], pixels[around & judge]
        fused += parted(one @ direction, two @ direction) / len(folds)
        for channel in range(len(alone)):
            area = parted(one[:, channel], two[:, channel])
            alone[channel] += max(area, 1 - area) / len(folds)
    best = int(alone.argmax())
    if alone[best] < alone[0] + LEAST_OTHER_GAIN:
        best = 0
    return best, fused - float(alone.max())


def parted(inside: NDArray[np.float64], around: NDArray[np.float64]) -> float:
    """How well values part two groups, 0 to 1.

    The area under the curve, by Mann and Whitney.
    """
    both = np.concatenate([inside, around])
    order = both.argsort(kind="stable")
    ranks = np.empty(len(both))
    ranks[order] = np.arange(1, len(both) + 1)
    _, first, counts = np.unique(both, return_inverse=True, return_counts=True)
    # Ties get their mean rank.
    mean_rank = np.bincount(first, weights=ranks) / counts
    total = mean_rank[first[: len(inside)]].sum()
    return float((total - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(around)))


def sampled(stack: ChannelStack, window: Window) -> NDArray[np.float64]:
    """Pixels (N, C) from all over a scan, windowed.

    Those that are black in every channel are left out.
    """
    step = max(1, round((int(np.prod(stack.reference.shape)) / SAMPLE) ** (1 / 3)))
    sample = stack.windowed(window, (slice(None, None, step),) * 3)
    seen = np.stack([image.reshape(-1).astype(np.float64) for image in sample], axis=-1)
    return seen[(seen > 0).any(axis=-1)]


def mix_along(direction: NDArray[np.float64], seen: NDArray[np.float64]) -> Mix:
    """A grey mix along a direction (C,).

    It uses the range of the pixels (N, C) that are seen.
    """
    low, high = np.percentile(seen @ direction, RANGE) if len(seen) else (0.0, 1.0)
    extent = max(float(high - low), 1e-3)
    return Mix("fused", (_rounded(direction / extent),), _rounded([-low / extent]))


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    """Few digits, so that what is shown and written is what is used."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)


def _laid_out(plane: SlicePlane, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """A slice (in stored order, without the slice axis) as the plane shows it."""
    laid: NDArray[np.float32] = plane.take(np.expand_dims(image, plane.axis), 0)
    return laid
