"""Intensities for region slabs, and changes to the intensities of any clip.

A slab stores region numbers only. Each time it is used, regions get tissue classes, classes get means,
regions get texture, and the whole gets blur, a bias field, noise and a window, as in CT or MR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["alter", "blur", "coarse_noise", "paste_blob", "render_regions", "white_noise", "window_real"]

#: Contrast below which an object's own regions are given another intensity, in four cases of five.
MIN_CONTRAST = 0.7
#: Share of invented images in which a neighbour, or what comes after the object's end, looks like the object.
TWINS = 0.3
#: CT windows (level, width) seen in practice, and how often each is drawn.
CT_WINDOWS = ((40.0, 400.0), (50.0, 350.0), (60.0, 160.0), (300.0, 1500.0), (-500.0, 1400.0))
CT_WINDOW_SHARES = (0.5, 0.2, 0.1, 0.1, 0.1)


def render_regions(
    rng: np.random.Generator, regions: NDArray[np.integer[Any]], own: tuple[int, ...], mask: Tensor, has_air: bool
) -> Tensor:
    """Invent intensities for a stack of region numbers.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    regions : ndarray, (T, h, w) int
    own : tuple of int
        Region numbers of the object.
    mask : Tensor, (T, h, w)
        The object; its contrast to its surroundings is made visible, mostly.
    has_air : bool
        True if region 0 is empty space.
    """
    count = max(int(regions.max()), *own) + 1
    like_ct = rng.random() < 0.4
    means = _region_means(rng, count, like_ct, has_air)
    grain = np.abs(rng.normal(0, 0.05, count)) * (0.35 if like_ct else 1.0)
    cloud = np.abs(rng.normal(0, 0.06, count)) * (0.4 if like_ct else 1.0)
    rough = rng.random(count) < 0.15
    grain[rough] *= 2.5
    cloud[rough] *= 2.5
    if has_air:
        grain[0] *= 0.2
        cloud[0] *= 0.1
    index = torch.from_numpy(regions.astype(np.int64))
    _separate(rng, means, index, own, mask)
    _resemble(rng, means, index, own, mask)
    fine = white_noise(rng, tuple(index.shape))
    if rng.random() < 0.5:
        fine = blur(fine, rng.uniform(0.4, 1.2)) * 2.0
    image = _look_up(means, index) + _look_up(grain, index) * fine
    image = image + _look_up(cloud, index) * coarse_noise(rng, int(rng.integers(10, 40)), tuple(index.shape))
    image = blur(image, rng.uniform(0.25, 1.4))
    low, high = np.quantile(image.flatten()[::7].numpy(), [rng.uniform(0, 0.02), rng.uniform(0.98, 1.0)])
    return ((image - float(low)) / max(float(high - low), 1e-3)).clamp(0, 1)


def window_real(rng: np.random.Generator, voxels: NDArray[np.int16] | NDArray[np.float32], kind: str) -> Tensor:
    """Window stored intensities of a real image to [0, 1].

    ``kind`` as in `PoolVolume`.
    """
    values = torch.from_numpy(voxels.astype(np.float32))
    if kind == "ct":
        level, width = CT_WINDOWS[int(rng.choice(len(CT_WINDOWS), p=CT_WINDOW_SHARES))]
        level, width = level + rng.normal(0, 0.05) * width, width * rng.uniform(0.8, 1.25)
        return ((values - (level - width / 2)) / width).clamp(0, 1)
    low, high = rng.uniform(0, 0.04), rng.uniform(0.65, 1.0)
    return ((values / 4095 - low) / (high - low)).clamp(0, 1)


def alter(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Change contrast, bias field, sharpness and noise of a clip.

    (T, h, w), all slices alike.
    """
    image = image ** float(np.exp(rng.uniform(-0.35, 0.35)))
    if rng.random() < 0.12:
        image = 1 - image
    if rng.random() < 0.4:
        strength = rng.uniform(0.05, 0.35)
        image = image * torch.exp(strength * coarse_noise(rng, int(rng.integers(1, 4)), tuple(image.shape)))
    if rng.random() < 0.25:
        image = blur(image, rng.uniform(0.4, 1.1))
    if rng.random() < 0.6:
        sigma = float(rng.uniform(0, 0.06))
        noisy = image + sigma * white_noise(rng, tuple(image.shape))
        if rng.random() < 0.3:
            noisy = (noisy**2 + (sigma * white_noise(rng, tuple(image.shape))) ** 2).sqrt()
        image = noisy
    if rng.random() < 0.3:
        steps = torch.from_numpy(rng.normal(1, 0.05, (len(image), 1, 1)).astype(np.float32))
        image = image * steps
    return image.clamp(0, 1)


def paste_blob(
    rng: np.random.Generator, image: Tensor, at: tuple[float, float], radius: float
) -> tuple[Tensor, Tensor]:
    """Blend a soft-edged blob into a clip, like a lesion.

    It moves, shrinks and may end.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    image : Tensor, (T, h, w)
    at : tuple of float
        Centre (x, y) on the first slice.
    radius : float
        Longer half axis, in pixels.

    Returns
    -------
    image, mask : Tensor, (T, h, w)
    """
    count, rows, columns = image.shape
    y, x = torch.meshgrid(torch.arange(rows).float(), torch.arange(columns).float(), indexing="ij")
    turn, short = rng.uniform(0, np.pi), radius * rng.uniform(0.4, 1.0)
    drift = rng.normal(0, 0.12, 2) * radius
    reach = rng.uniform(1.2, 3.5) * count
    start = rng.uniform(-0.3, 0.3) * reach
    waves = [(rng.normal(0, 0.22 / k**0.8), rng.uniform(0, 6.3), rng.normal(0, 0.25)) for k in range(2, 7)]
    strength = rng.uniform(0, 1)
    levels = []
    for t in range(count):
        dx, dy = x - at[0] - drift[0] * t, y - at[1] - drift[1] * t
        u = dx * float(np.cos(turn)) + dy * float(np.sin(turn))
        v = dy * float(np.cos(turn)) - dx * float(np.sin(turn))
        angle = torch.atan2(v, u)
        wave = torch.zeros_like(angle)
        for k, (size, phase, speed) in enumerate(waves, start=2):
            wave = wave + strength * float(size) * torch.cos(k * angle + phase + speed * t)
        size_now = 1 - ((start + t) / reach) ** 2 + (start / reach) ** 2
        levels.append((1 + wave) * float(np.sqrt(max(size_now, 1e-4))) - ((u / radius) ** 2 + (v / short) ** 2).sqrt())
    mask = (torch.stack(levels) > 0).float()
    soft = blur(mask, rng.uniform(0.4, 1.6))
    inside = mask[0] > 0
    local = float(image[0][inside].mean()) if bool(inside.any()) else 0.5
    step = float(rng.choice([-1, 1])) * rng.uniform(0.08, 0.45)
    texture = coarse_noise(rng, int(rng.integers(8, 40)), tuple(image.shape)) * rng.uniform(0, 0.06)
    filling = local + step + rng.uniform(0, 1) * (image - local) + texture
    return (image * (1 - soft) + soft * filling).clamp(0, 1), mask


def _region_means(rng: np.random.Generator, count: int, like_ct: bool, has_air: bool) -> NDArray[np.float64]:
    classes = int(rng.integers(3, 10))
    if like_ct:
        palette = np.concatenate([[0.0], rng.uniform(0.38, 0.65, classes), [rng.uniform(0.75, 1.0)]])
    else:
        palette = rng.uniform(0, 1, classes + 2)
    means = palette[rng.integers(0, len(palette), count)] + rng.normal(0, 0.025, count)
    if has_air:
        means[0] = 0.0 if rng.random() < 0.85 else rng.random()
    return np.asarray(means, np.float64)


def _separate(
    rng: np.random.Generator, means: NDArray[np.float64], index: Tensor, own: tuple[int, ...], mask: Tensor
) -> None:
    """Move the object's own means away from its surroundings, mostly."""
    first = mask[:1]
    ring = (functional.max_pool2d(first[None], 7, 1, 3)[0] - first) > 0
    if not bool(ring.any()) or rng.random() < 0.2:
        return
    flat = torch.from_numpy(means)[index[:1]]
    around, inside = flat[ring], flat[first > 0]
    spread = 0.5 * float(around.std(unbiased=False) + inside.std(unbiased=False)) + 0.03
    if abs(float(inside.mean() - around.mean())) / spread > MIN_CONTRAST:
        return
    step = float(rng.choice([-1, 1])) * rng.uniform(0.06, 0.35)
    means[list(own)] += step


def _resemble(
    rng: np.random.Generator, means: NDArray[np.float64], index: Tensor, own: tuple[int, ...], mask: Tensor
) -> None:
    """Give one region beside the object, or where it has ended, nearly the object's intensity."""
    chance = rng.random()
    if chance >= TWINS or not own:
        return
    ended = (mask[:1] > 0) & (mask[-1:] == 0)
    beyond = index[-1:][ended]
    if chance < TWINS / 2 or not len(beyond):
        wide = (functional.max_pool2d(mask[:1][None], 15, 1, 7)[0] - mask[:1]) > 0
        beyond = index[:1][wide]
    others = np.setdiff1d(np.unique(beyond.numpy()), [0, *own])
    if len(others):
        means[int(rng.choice(others))] = means[int(rng.choice(list(own)))] + rng.uniform(-0.08, 0.08)


def _look_up(values: NDArray[np.float64], index: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[index]


def white_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    """Independent normal numbers."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def coarse_noise(rng: np.random.Generator, knots: int, shape: tuple[int, ...]) -> Tensor:
    """Normal numbers at so many knots across, interpolated, (T, h, w)."""
    grid = white_noise(rng, (1, 1, 2, knots + 1, knots + 1))
    size = (shape[0], shape[1], shape[2])
    return functional.interpolate(grid, size=size, mode="trilinear", align_corners=True)[0, 0]


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur within slices, (T, h, w)."""
    reach = max(1, int(2.5 * sigma + 0.5))
    kernel = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma * sigma))
    kernel = kernel / kernel.sum()
    x = functional.pad(image[:, None], (reach, reach, reach, reach), mode="replicate")
    x = functional.conv2d(x, kernel.view(1, 1, -1, 1))
    return functional.conv2d(x, kernel.view(1, 1, 1, -1))[:, 0]
