"""Objects to practise corrections on.

Small volumes with an image, the truth, and lengths in no unit.

They are drawn from pools of `napari_sam2.training.pool`: labelled scans, label maps whose intensities are invented at
each use, and supervoxels of scans without labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy import ndimage

from napari_sam2.engine.correction_evidence import averaged
from napari_sam2.evaluation.challenge import error_click
from napari_sam2.training.render import alter, render_regions, window_real

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_sam2.engine.correction_evidence import Window
    from napari_sam2.training.pool import PoolObject, PoolVolume

__all__ = ["Click", "Practice", "draw_practice", "next_click", "practise_on"]

SURROUNDINGS: Final = (0.45, 0.9)
"""What is cut out beyond an object's bounds, over its side along each axis."""

LEAST_SURROUNDINGS: Final = 5

CELLS: Final = (22, 44)
"""Cells along the object's longest side, at most."""

THICK: Final = (1.8, 5.0)
"""Spacing across the slices of volumes that are not isotropic; within slices it is 1."""

LEAST_VOXELS: Final = 80

ELSEWHERE: Final = 0.25
"""Share of clicks that are not in the largest error."""


@dataclass(frozen=True, slots=True)
class Click:
    """A click.

    Attributes
    ----------
    voxel : tuple of int
        (slice, row, column).
    include : bool
        Whether it belongs to the object.
    """

    voxel: tuple[int, int, int]
    include: bool


@dataclass(eq=False)
class Practice:
    """An object whose mask is to be corrected.

    With its image and truth, and with what `napari_sam2.engine.correction_evidence.Scene` asks for.

    Attributes
    ----------
    voxels : (slices, rows, columns) float32 array
        Grey values in [0, 1].
    truth, object : bool array
        The object as it is, and as it is thought to be.
    others : int16 array, optional
        Region numbers of a label map.
    spacing : tuple of float
        In widths of a pixel.
    """

    voxels: NDArray[np.float32]
    truth: NDArray[np.bool_]
    object: NDArray[np.bool_]
    spacing: tuple[float, float, float]
    others: NDArray[np.int16] | None = None

    shape: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        """Slices, rows, columns, as a scene has them."""
        slices, rows, columns = self.truth.shape
        self.shape = (slices, rows, columns)

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """The object inside a window, as it is thought to be."""
        return self.object[window].copy()

    def image(self, window: Window) -> NDArray[np.float32]:
        """Grey values inside a window."""
        return self.voxels[window].copy()


def draw_practice(
    rng: np.random.Generator,
    pools: Mapping[str, Sequence[PoolVolume]],
    shares: Mapping[str, float],
    cells: tuple[int, int] = CELLS,
) -> Practice:
    """Draw an object.

    With equal chances for the volumes of a pool, and for the objects of a volume.

    Parameters
    ----------
    rng : numpy.random.Generator
    pools : mapping of str to sequence of PoolVolume
        By name.
    shares : mapping of str to float
        How often each pool is drawn from.
    cells : tuple of int
        Cells along the object's longest side, at most, from and to.
    """
    names = sorted(pools)
    chances = np.array([shares[name] for name in names])
    while True:
        pool = pools[names[int(rng.choice(len(names), p=chances / chances.sum()))]]
        volume = pool[int(rng.integers(len(pool)))]
        made = practise_on(rng, volume, volume.objects[int(rng.integers(len(volume.objects)))], cells)
        if made is not None:
            return made


def practise_on(
    rng: np.random.Generator, volume: PoolVolume, item: PoolObject, cells: tuple[int, int] = CELLS
) -> Practice | None:
    """One object of a volume, cut out with its surroundings.

    None where it is too small or fills everything.
    """
    spacing = np.ones(3) if volume.isotropic else np.array([rng.uniform(*THICK), 1.0, 1.0])
    wider = rng.uniform(*SURROUNDINGS)
    window = tuple(
        slice(
            max(0, corner - max(LEAST_SURROUNDINGS, round(wider * side))),
            min(count, corner + side + max(LEAST_SURROUNDINGS, round(wider * side))),
        )
        for corner, side, count in zip(item.corner, item.shape, volume.voxels.shape, strict=True)
    )
    truth = np.zeros([w.stop - w.start for w in window], dtype=bool)
    inner = tuple(slice(c - w.start, c - w.start + n) for c, w, n in zip(item.corner, window, item.shape, strict=True))
    truth[inner] = item.mask()
    cell = float((np.array(item.shape) * spacing).max()) / rng.uniform(*cells)
    strides = [int(max(1, round(cell / s))) for s in spacing]
    thinned = (strides[0], strides[1], strides[2])
    small = averaged(truth.astype(np.float32), thinned) > 0.5
    if small.sum() < LEAST_VOXELS or small.all():
        return None
    others = None
    if volume.kind in ("regions", "air"):
        others = np.ascontiguousarray(volume.voxels[window][:: strides[0], :: strides[1], :: strides[2]])
        others = others.astype(np.int16)[: small.shape[0], : small.shape[1], : small.shape[2]]
        held = torch.from_numpy(small.astype(np.float32))
        image = render_regions(rng, others, item.regions, held, volume.kind == "air")
    else:
        image = window_real(rng, averaged(volume.voxels[window].astype(np.float32), thinned), volume.kind)
    grey = alter(rng, image).numpy().astype(np.float32)
    turned = _turns(rng, volume.isotropic)
    arrays = [np.ascontiguousarray(turned(a)) for a in (grey, small)]
    widths = spacing * strides
    return Practice(
        arrays[0],
        arrays[1],
        arrays[1].copy(),
        (float(widths[0]), float(widths[1]), float(widths[2])),
        None if others is None else np.ascontiguousarray(turned(others)),
    )


def _turns(rng: np.random.Generator, isotropic: bool) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A mirror image and, where voxels are cubes, another order of the axes."""
    order = [int(a) for a in rng.permutation(3)] if isotropic else [0, *([2, 1] if rng.random() < 0.5 else [1, 2])]
    flips = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in range(3))
    return lambda array: array.transpose(order)[flips]


def next_click(rng: np.random.Generator, practice: Practice) -> Click | None:
    """The next click.

    In the deepest voxel of the largest error, or anywhere deep in one of the larger errors; None without an error.
    """
    standard = error_click(practice.object, practice.truth)
    if standard is None:
        return None
    voxel = (int(standard.voxel[0]), int(standard.voxel[1]), int(standard.voxel[2]))
    if rng.random() < ELSEWHERE:
        parts, count = ndimage.label(practice.object != practice.truth, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        chosen = int(rng.choice(np.argsort(-sizes)[:4]))
        if count and sizes[chosen] >= 6:
            depth = ndimage.distance_transform_edt(np.pad(parts == chosen + 1, 1))[1:-1, 1:-1, 1:-1]
            deep = np.argwhere(depth >= rng.uniform(0.5, 1) * depth.max())
            i, j, k = deep[int(rng.integers(len(deep)))]
            voxel = (int(i), int(j), int(k))
    return Click(voxel, bool(practice.truth[voxel]))
