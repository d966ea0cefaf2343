"""Drawing of boxed slices from pools.

Which object, which slice, which intensities, which box.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

from napari_sam2.training.hot import coarsened, render_hot
from napari_sam2.training.render import alter, paste_blob, render_regions, window_real

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_sam2.training.pool import PoolObject, PoolVolume

__all__ = ["Boxed", "draw_boxed"]

LEAST_VOXELS: Final = 16
"""Of an object on its slice."""

LEAST_SIDE: Final = 4
"""Voxels of the shorter side of its box."""

AROUND: Final = 1.2
"""Half of the part of a slice that is kept, over the longer side of the box."""

STEPS: Final = (1, 2, 3)
"""Distances of neighbouring slices where a volume may be sliced along any axis, as in scans of thicker slices."""

TURNED: Final = 0.4
"""Share of objects that are turned by up to 25 degrees."""

LESIONS: Final = 0.4
"""Share of PET-like images whose object is a lesion's blob and not a structure of the map."""

LOOSE: Final = 0.35
"""Share of boxes that are not tight."""

SHIFT: Final = 0.1
"""How far an edge of such a box may lie off, over the box's side."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxed:
    """A boxed slice with its neighbours.

    Attributes
    ----------
    name : str
        Of the volume.
    stack : Tensor, (3, h, w)
        The slice before, the boxed one and the one after, in [0, 1].
    truth : Tensor, (h, w)
        The object, 0 or 1.
    box : tuple of float
        Edges x0, y0, x1, y1 in voxels; a box around voxel 3 alone is 2.5 to 3.5.
    """

    name: str
    stack: Tensor
    truth: Tensor
    box: tuple[float, float, float, float]


def draw_boxed(
    rng: np.random.Generator,
    pools: Mapping[str, Sequence[PoolVolume]],
    shares: Mapping[str, float],
    hot: float,
    pet: float,
) -> Boxed:
    """Draw an object, one of its slices and a box.

    Parameters
    ----------
    rng : numpy.random.Generator
    pools : mapping of str to sequence of PoolVolume
        Volumes by part of the data.
    shares : mapping of str to float
        How often each part is drawn from.
    hot : float
        Share of the images with invented intensities that look like PET.
    pet : float
        How many times as often a PET scan is drawn as another one.
    """
    names = sorted(shares)
    chances = np.array([shares[name] for name in names])
    while True:
        part = pools[names[int(rng.choice(len(names), p=chances / chances.sum()))]]
        volume = part[int(rng.choice(len(part), p=_weights(part, pet)))]
        drawn = _slices(rng, volume, volume.objects[int(rng.integers(len(volume.objects)))], hot)
        if drawn is None:
            continue
        stack, truth = _turned(rng, *drawn) if rng.random() < TURNED else drawn
        box = _box(rng, truth)
        if box is not None:
            return Boxed(volume.name, stack, truth, box)


def _weights(part: Sequence[PoolVolume], pet: float) -> NDArray[np.float64]:
    """Many volumes of one kind count less than their number, and volumes of few objects less than others."""
    families = Counter(volume.name.rpartition("_")[0] for volume in part)
    weights = np.array(
        [
            families[volume.name.rpartition("_")[0]] ** -0.5
            * min(len(volume.objects), 10) ** 0.5
            * (pet if volume.name.startswith("pet_") else 1.0)
            for volume in part
        ]
    )
    return np.asarray(weights / weights.sum(), np.float64)


def _slices(rng: np.random.Generator, volume: PoolVolume, item: PoolObject, hot: float) -> tuple[Tensor, Tensor] | None:
    """Three slices and the object on the middle one, cut around it; None where it is too small."""
    axis = int(rng.integers(3)) if volume.isotropic else 0
    order = (axis, *(a for a in range(3) if a != axis))
    inner, corner = item.mask().transpose(order), [item.corner[a] for a in order]
    areas = inner.reshape(len(inner), -1).sum(1)
    usable = np.flatnonzero(areas >= LEAST_VOXELS)
    if not len(usable):
        return None
    index = int(rng.choice(usable, p=areas[usable] / areas[usable].sum() if rng.random() < 0.5 else None))
    step = int(rng.choice(STEPS, p=(0.7, 0.2, 0.1))) if volume.isotropic else 1
    voxels = volume.voxels.transpose(order)
    chosen = [min(max(corner[0] + index + way * step, 0), len(voxels) - 1) for way in (-1, 0, 1)]
    rows, columns = (np.flatnonzero(inner[index].any(1 - a)) + corner[1 + a] for a in (0, 1))
    half = int(AROUND * (max(np.ptp(rows), np.ptp(columns)) + 1)) + 6
    down, across = (
        slice(max(0, (int(s[0]) + int(s[-1])) // 2 - half), (int(s[0]) + int(s[-1])) // 2 + half)
        for s in (rows, columns)
    )
    masks = np.zeros((3, *voxels.shape[1:]), bool)
    for k, at in enumerate(chosen):
        if 0 <= at - corner[0] < len(inner):
            masks[k, corner[1] : corner[1] + inner.shape[1], corner[2] : corner[2] + inner.shape[2]] = inner[
                at - corner[0]
            ]
    mask = torch.from_numpy(masks[:, down, across].astype(np.float32))
    pixels = np.ascontiguousarray(voxels[chosen][:, down, across])
    return _rendered(rng, volume.kind, pixels, item.regions, mask, hot)


def _rendered(
    rng: np.random.Generator,
    kind: str,
    pixels: NDArray[np.generic],
    own: tuple[int, ...],
    mask: Tensor,
    hot: float,
) -> tuple[Tensor, Tensor] | None:
    if kind in ("ct", "image"):
        return alter(rng, window_real(rng, pixels.astype(np.int16), kind)), mask[1]
    regions = pixels.astype(np.int16)
    # What makes intensities looks at the first slice for the object; here that is the middle one.
    order = [1, 0, 2]
    regions, mask = regions[order], mask[order]
    if rng.random() < hot:
        if rng.random() < LESIONS:
            side = float(np.sqrt(float(mask[0].sum()))) / 2
            middle = [float(n) / 2 for n in mask.shape[:0:-1]]
            _, mask = paste_blob(rng, torch.zeros_like(mask), (middle[0], middle[1]), max(side, 3.5))
            own = (int(regions.max()) + 1,)
            regions[mask.numpy() > 0] = own[0]
        if not bool(mask[0].any()):
            return None
        image, mask = coarsened(rng, render_hot(rng, regions, own, mask), mask)
    else:
        image = alter(rng, render_regions(rng, regions, own, mask, kind == "air"))
    return image[order], mask[0]


def _turned(rng: np.random.Generator, stack: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    angle = float(rng.uniform(-0.44, 0.44))
    rows, columns = truth.shape
    turn = torch.tensor(
        [[np.cos(angle), -np.sin(angle) * rows / columns], [np.sin(angle) * columns / rows, np.cos(angle)]]
    )
    theta = torch.cat([turn.float(), torch.zeros(2, 1)], 1)[None]
    both = torch.cat([stack, truth[None]])[None]
    grid = functional.affine_grid(theta, list(both.shape), align_corners=False)
    both = functional.grid_sample(both, grid, padding_mode="border", align_corners=False)[0]
    return both[:3], (both[3] > 0.5).float()


def _box(rng: np.random.Generator, truth: Tensor) -> tuple[float, float, float, float] | None:
    """A box around the object, mostly tight; None where it is too small."""
    rows, columns = (torch.nonzero(truth.any(1 - a)).flatten().tolist() for a in (0, 1))
    if float(truth.sum()) < LEAST_VOXELS or min(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 < LEAST_SIDE:
        return None
    edges = np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5])
    if rng.random() < LOOSE:
        sides = np.array([edges[2] - edges[0], edges[3] - edges[1]] * 2)
        edges = edges + sides * rng.uniform(-SHIFT, SHIFT, 4) * rng.uniform(0, 1)
        edges = edges + sides * rng.uniform(0, SHIFT / 2) * np.array([-1, -1, 1, 1])
    return float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])
