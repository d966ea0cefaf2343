"""Analytic volumes: what is inside is known exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.core.prompts import Box
from napari_sam2.core.volume import Volume


def ball(
    shape: tuple[int, int, int] = (48, 44, 40),
    centre: tuple[float, float, float] = (24, 22, 20),
    radii: tuple[float, float, float] = (12, 9, 8),
    affine: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> tuple[Volume, NDArray[np.bool_]]:
    """A bright ellipsoid (voxel radii) on a darker, noisy ground; the volume and its mask."""
    grid = np.indices(shape).astype(float)
    inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1
    noise = np.random.default_rng(seed).normal(0, 6, shape)
    voxels = (100 + 80 * inside + noise).astype(np.float32)
    return Volume(voxels, np.eye(4) if affine is None else affine), inside


def box_on(mask: NDArray[np.bool_], axis: int, index: int) -> Box:
    """The tight box around a mask on one slice."""
    low, high = (np.insert(c, axis, index) for c in _corners(np.take(mask, index, axis)))
    return Box((tuple(int(c) for c in low), tuple(int(c) for c in high)))


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def _corners(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    found = np.argwhere(mask)
    return found.min(axis=0), found.max(axis=0)
