"""Synthetic anatomy: label slabs built from warped shapes, without intensities.

A slab is a stack of parallel slices through one invented scene: a body with shells, a mosaic of
tissues, or bands; in it ellipsoids, lobed organs, tubes and boxes, some nested, some touching. Only
region numbers are stored. Intensities are drawn anew each time a slab is used (`render.py`), so one slab
serves many contrasts. All randomness comes from the generator that the caller passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from napari_sam2.training.pool import PoolObject, PoolVolume

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["make_slab", "smooth_noise"]

#: An object must cover at least this many pixels of its largest slice to be worth a prompt.
MIN_AREA = 40
#: Objects kept per slab.
MAX_OBJECTS = 6
#: Attempts to build a slab that holds at least one usable object.
MAX_ATTEMPTS = 20


def make_slab(rng: np.random.Generator, size: int, depth: int) -> PoolVolume:
    """Build one slab.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    size, depth : int
        Rows and columns, and number of slices.

    Returns
    -------
    PoolVolume
        Region numbers, (depth, size, size) uint8, with up to six objects.
    """
    for _ in range(MAX_ATTEMPTS):
        regions, candidates, has_air = _scene(rng, size, depth)
        objects = _objects(rng, regions, candidates)
        if objects:
            return PoolVolume(
                name="synthetic",
                kind="air" if has_air else "regions",
                voxels=regions,
                isotropic=False,
                objects=objects,
            )
    message = f"no usable object in {MAX_ATTEMPTS} slabs of {depth} x {size} x {size}"
    raise RuntimeError(message)


def smooth_noise(rng: np.random.Generator, knots: int, shape: tuple[int, int, int], pitch: float) -> Tensor:
    """Noise that varies smoothly over a slab, about normal.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    knots : int
        Number of free values along one in-plane axis.
    shape : tuple of int
        Slices, rows, columns.
    pitch : float
        Distance between slices, in pixels.
    """
    depth, rows, columns = shape
    through = max(2, round(knots * depth * pitch / rows) + 1)
    grid = rng.standard_normal((1, 1, through, knots + 1, knots + 1)).astype(np.float32)
    noise = functional.interpolate(
        torch.from_numpy(grid), size=(depth, rows, columns), mode="trilinear", align_corners=True
    )
    return noise[0, 0]


class _Canvas:
    """Warped coordinates and the region numbers painted so far."""

    def __init__(self, rng: np.random.Generator, size: int, depth: int) -> None:
        self.rng, self.size, self.depth = rng, size, depth
        self.pitch = float(np.exp(rng.uniform(np.log(0.5), np.log(6.0))))
        axis = torch.arange(size, dtype=torch.float32)
        through = (torch.arange(depth, dtype=torch.float32) - (depth - 1) / 2) * self.pitch
        z, y, x = torch.meshgrid(through, axis, axis, indexing="ij")
        coarse = rng.uniform(0.0, 0.07) * size
        knots = int(rng.integers(2, 7))
        self.z = z + 0.5 * coarse * self.noise(knots)
        self.y = y + coarse * self.noise(knots)
        self.x = x + coarse * self.noise(knots)
        if rng.random() < 0.4:
            fine, knots = rng.uniform(0.5, 2.2), int(rng.integers(10, 26))
            self.y = self.y + fine * self.noise(knots)
            self.x = self.x + fine * self.noise(knots)
        self.regions = torch.zeros((depth, size, size), dtype=torch.uint8)
        self.count = 1
        self.candidates: list[tuple[int, ...]] = []

    def noise(self, knots: int) -> Tensor:
        return smooth_noise(self.rng, knots, (self.depth, self.size, self.size), self.pitch)

    def paint(self, inside: Tensor) -> int:
        number = self.count
        self.regions[inside] = number
        self.count += 1
        return number


def _scene(rng: np.random.Generator, size: int, depth: int) -> tuple[NDArray[np.uint8], list[tuple[int, ...]], bool]:
    canvas = _Canvas(rng, size, depth)
    kind = rng.random()
    has_air = kind < 0.45
    if has_air:
        _body(canvas)
    elif kind < 0.65:
        _mosaic(canvas)
    elif kind < 0.82:
        _bands(canvas)
    for _ in range(int(rng.integers(4, 13))):
        _structure(canvas)
    return canvas.regions.numpy(), canvas.candidates, has_air


def _body(canvas: _Canvas) -> None:
    rng, size = canvas.rng, canvas.size
    radii = size * rng.uniform(0.33, 0.6, 2)
    offset = rng.uniform(-8, 8, 2)
    radius = ((canvas.y - size / 2 - offset[0]) / radii[0]) ** 2
    radius = radius + ((canvas.x - size / 2 - offset[1]) / radii[1]) ** 2
    radius = radius.sqrt()
    canvas.candidates.append((canvas.paint(radius < 1),))
    edge = 1.0
    for _ in range(int(rng.integers(0, 3))):
        inner = edge - rng.uniform(0.03, 0.12)
        canvas.candidates.append((canvas.paint((radius < edge) & (radius > inner)),))
        edge = inner


def _mosaic(canvas: _Canvas) -> None:
    rng, size = canvas.rng, canvas.size
    best = torch.full(canvas.regions.shape, 1e9)
    for _ in range(int(rng.integers(5, 26))):
        centre = rng.uniform(0, size, 2)
        through = rng.uniform(-0.7, 0.7) * canvas.depth * canvas.pitch
        distance = (canvas.y - centre[0]) ** 2 + (canvas.x - centre[1]) ** 2
        distance = distance + rng.uniform(0.3, 1.0) * (canvas.z - through) ** 2
        nearer = distance < best
        best = torch.where(nearer, distance, best)
        canvas.candidates.append((canvas.paint(nearer),))


def _bands(canvas: _Canvas) -> None:
    rng = canvas.rng
    noise = canvas.noise(int(rng.integers(3, 9))) + 0.4 * canvas.noise(int(rng.integers(8, 25)))
    for threshold in np.sort(rng.normal(0, 0.7, int(rng.integers(1, 5)))):
        canvas.candidates.append((canvas.paint(noise > float(threshold)),))


def _structure(canvas: _Canvas) -> None:
    """One organ, vessel or box, possibly repeated along a line, possibly with a core and its own core."""
    rng, size = canvas.rng, canvas.size
    kind = str(rng.choice(["tube", "ellipsoid", "lobed", "organ", "box"], p=[0.2, 0.22, 0.28, 0.23, 0.07]))
    largest = 42 if kind == "organ" else 30
    radius = float(np.exp(rng.uniform(np.log(12 if kind == "organ" else 3.0), np.log(largest)))) * size / 160
    radii = radius * np.exp(rng.normal(0, 0.35, 3))
    basis, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    centre = np.array([rng.uniform(-0.6, 0.6) * canvas.depth * canvas.pitch, *rng.uniform(0.1, 0.9, 2) * size])
    repeats = int(rng.integers(2, 6)) if rng.random() < 0.15 and kind != "organ" else 1
    heading = rng.standard_normal(3) * np.array([0.3, 1.0, 1.0])
    heading /= np.linalg.norm(heading) + 1e-6
    for k in range(repeats):
        at = centre + heading * k * 2.0 * radii.mean() * rng.uniform(0.95, 1.25)
        depth = _radius(canvas, kind, at, radii, basis)
        inside = depth < 1
        if not bool(inside.any()) or canvas.count > 240:
            continue
        ids = [canvas.paint(inside)]
        level = 1.0
        while rng.random() < (0.3 if level == 1.0 else 0.25) and canvas.count < 240:
            level *= rng.uniform(0.35, 0.85)
            ids.append(canvas.paint(depth < level))
        canvas.candidates.append(tuple(ids))
        if len(ids) > 1:
            canvas.candidates.extend((number,) for number in ids)


def _radius(
    canvas: _Canvas,
    kind: str,
    centre: NDArray[np.float64],
    radii: NDArray[np.float64],
    basis: NDArray[np.float64],
) -> Tensor:
    """Distance from the shape's middle in units of its surface: below 1 is inside."""
    rng = canvas.rng
    offset = (canvas.z - centre[0], canvas.y - centre[1], canvas.x - centre[2])
    along = [sum(offset[a] * float(basis[j, a]) for a in range(3)) for j in range(3)]
    if kind == "tube":
        thickness = max(1.6, 0.35 * radii[0])
        swing, turn = rng.uniform(0, 10), rng.uniform(0.02, 0.09)
        sideways = along[1] + swing * torch.sin(along[0] * turn + rng.uniform(0, 6))
        upwards = along[2] + swing * torch.cos(along[0] * turn * 0.7 + rng.uniform(0, 6))
        radius = (sideways**2 + upwards**2).sqrt() / thickness
        return torch.where(along[0].abs() < rng.uniform(1.5, 6) * radii[0] + 8, radius, 9.0)
    if kind == "box":
        return torch.stack([along[j].abs() / float(radii[j]) for j in range(3)]).amax(0)
    radius = torch.stack([(along[j] / float(radii[j])) ** 2 for j in range(3)]).sum(0).sqrt()
    if kind == "lobed":
        radius = radius + rng.uniform(0.05, 0.35) * canvas.noise(int(rng.integers(4, 13)))
    if kind == "organ":
        radius = radius + rng.uniform(0.15, 0.5) * canvas.noise(int(rng.integers(3, 7)))
        radius = radius + rng.uniform(0.0, 0.12) * canvas.noise(int(rng.integers(8, 16)))
    return radius


def _objects(
    rng: np.random.Generator, regions: NDArray[np.uint8], candidates: list[tuple[int, ...]]
) -> list[PoolObject]:
    """Largest in-slab components of randomly chosen candidates, with overlaps kept out of reach."""
    objects: list[PoolObject] = []
    largest = 0.4 * regions.shape[1] * regions.shape[2]
    for index in rng.permutation(len(candidates)):
        ids = candidates[int(index)]
        mask = np.isin(regions, ids)
        if not MIN_AREA <= mask.reshape(len(mask), -1).sum(1).max() <= largest:
            continue
        components, count = ndimage.label(mask)
        if count > 1:
            sizes = np.bincount(components.ravel())
            sizes[0] = 0
            mask = components == int(sizes.argmax())
        if mask.reshape(len(mask), -1).sum(1).max() < MIN_AREA:
            continue
        objects.append(PoolObject.from_mask(mask, ids))
        if len(objects) == MAX_OBJECTS:
            break
    return objects
