"""Real images as training texture, with objects that nobody drew.

Intensities come from images whose licence permits shipping weights made from them (the list is in the
model card). Objects come from the intensities alone: connected components between random thresholds, and
watershed basins merged while their means agree. Both are three-dimensional, so that slices of one object
form a sequence on real texture. Components without a visible border are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from napari_sam2.training.pool import PoolObject, PoolVolume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Texture", "stored_intensities", "texture_volume"]

#: Levels to which an image that is not CT is scaled: int16 holds them with room to spare.
IMAGE_LEVELS = 4095
#: Objects kept per volume at most; a volume with one slice yields far fewer.
MAX_OBJECTS = 160
#: Pixels of an object in its largest slice, and the share of the slice it may cover.
MIN_AREA, MAX_SHARE = 80, 0.3
#: Pixels of a slice for it to be judged.
MIN_SLICE_AREA = 25
#: Difference of means across the border over the mean standard deviation, below which it is not visible:
#: the median over slices; four slices in five must have half of it.
MIN_CONTRAST = 1.0
#: Gradient at the border over that inside; median over slices.
MIN_EDGE = 1.25
#: Overlap (IoU) of neighbouring slices; median.
MIN_OVERLAP = 0.6
#: Standard deviation in voxels of the blur that smooths a region's outline.
SMOOTHING = 1.0
#: Voxels around a region that are looked at.
MARGIN = 5


@dataclass(frozen=True, slots=True)
class Texture:
    """A real image before objects are looked for.

    Attributes
    ----------
    name : str
        Source, as in the model card.
    kind : str
        ``"ct"`` for Hounsfield units, ``"image"`` for anything else.
    voxels : ndarray, (slices, rows, columns) float32
    isotropic : bool
        True if spacing is about the same along all axes.
    """

    name: str
    kind: str
    voxels: NDArray[np.float32]
    isotropic: bool


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Intensities in [0, 1] in which soft tissue is visible, and the size of their gradient."""

    image: NDArray[np.float32]
    gradient: NDArray[np.float32]
    isotropic: bool


def texture_volume(rng: np.random.Generator, texture: Texture, rounds: int) -> PoolVolume:
    """Find objects in a texture.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random thresholds and scales.
    texture : Texture
        The image.
    rounds : int
        How often each of the two methods is tried with new settings.
    """
    voxels = stored_intensities(texture)
    scaled = _scaled(texture)
    fine = 0.7 if texture.isotropic else (0, 0.7, 0.7)
    gradient = ndimage.gaussian_gradient_magnitude(scaled, fine).astype(np.float32)
    judged = _Scaled(scaled, gradient, texture.isotropic)
    objects: list[PoolObject] = []
    for _ in range(rounds):
        sigma = float(rng.uniform(0.4, 1.4))
        smooth = ndimage.gaussian_filter(scaled, sigma if texture.isotropic else (0, sigma, sigma))
        for labels in (_bands(rng, smooth, texture.isotropic), _basins(rng, smooth, texture.isotropic)):
            objects.extend(_visible_objects(labels, judged))
    if len(objects) > MAX_OBJECTS:
        objects = [objects[int(i)] for i in np.sort(rng.permutation(len(objects))[:MAX_OBJECTS])]
    return PoolVolume(texture.name, texture.kind, voxels, texture.isotropic, objects)


def stored_intensities(texture: Texture) -> NDArray[np.int16]:
    """Hounsfield units as they are.

    Anything else scaled between its extremes to 0 to `IMAGE_LEVELS`.
    """
    if texture.kind == "ct":
        return np.clip(np.rint(texture.voxels), -1024, 3071).astype(np.int16)
    low, high = np.percentile(texture.voxels, [0.05, 99.95])
    scaled = (texture.voxels - low) / max(float(high - low), 1e-6)
    return np.asarray(np.rint(np.clip(scaled, 0, 1) * IMAGE_LEVELS), np.int16)


def _scaled(texture: Texture) -> NDArray[np.float32]:
    """Intensities in [0, 1] in which soft tissue is visible."""
    if texture.kind == "ct":
        return np.clip((texture.voxels + 200) / 500, 0, 1).astype(np.float32)
    filled = texture.voxels[texture.voxels > texture.voxels.min()]
    low, high = np.percentile(filled if filled.size > 100 else texture.voxels, [1, 99])
    return np.asarray(np.clip((texture.voxels - low) / max(float(high - low), 1e-6), 0, 1), np.float32)


def _structure(isotropic: bool) -> NDArray[np.bool_]:
    """The six-neighbourhood, or its in-plane part where slices are far apart."""
    cross = ndimage.generate_binary_structure(3, 1)
    if not isotropic:
        cross[[0, 2]] = False
    return np.asarray(cross, bool)


def _bands(rng: np.random.Generator, smooth: NDArray[np.float32], isotropic: bool) -> NDArray[np.int32]:
    """Components between random quantiles of the intensity."""
    sample = smooth.ravel()[:: max(1, smooth.size // 200_000)]
    levels = np.unique(np.quantile(sample, np.sort(rng.uniform(0.05, 0.98, int(rng.integers(2, 5))))))
    bands = np.digitize(smooth, levels)
    labels = np.zeros(smooth.shape, np.int32)
    total = 0
    opening = int(rng.integers(1, 3))
    for level in range(len(levels) + 1):
        opened = ndimage.binary_opening(bands == level, _structure(isotropic), iterations=opening)
        parts, count = ndimage.label(opened)
        labels = np.where(parts > 0, parts + total, labels).astype(np.int32)
        total += count
    return labels


def _basins(rng: np.random.Generator, smooth: NDArray[np.float32], isotropic: bool) -> NDArray[np.int32]:
    """Watershed basins of the gradient, merged while neighbouring means agree."""
    scale = float(rng.uniform(0.8, 2.0))
    sigma = scale if isotropic else (0, scale, scale)
    gradient = ndimage.gaussian_gradient_magnitude(smooth, sigma).astype(np.float32)
    reach = int(rng.integers(2, 5)) * 2 + 1
    size = (reach,) * 3 if isotropic else (1, reach, reach)
    minima = (gradient == ndimage.minimum_filter(gradient, size)) & (smooth > 0.02)
    markers, _ = ndimage.label(minima, np.ones((3, 3, 3)))
    basins = watershed(gradient, markers)
    count = int(basins.max()) + 1
    # Label 0 may not occur; its mean is then undefined and set to 0 below.
    with np.errstate(invalid="ignore"):
        means = np.asarray(ndimage.mean(smooth, basins, np.arange(count)), np.float64)
    return _merged(basins.astype(np.int32), np.nan_to_num(means), float(rng.uniform(0.02, 0.09)))


def _merged(basins: NDArray[np.int32], means: NDArray[np.float64], threshold: float) -> NDArray[np.int32]:
    pairs = []
    for axis in range(3):
        if basins.shape[axis] < 2:
            continue
        low = np.take(basins, range(basins.shape[axis] - 1), axis).ravel()
        high = np.take(basins, range(1, basins.shape[axis]), axis).ravel()
        differ = low != high
        keys = np.minimum(low, high)[differ].astype(np.int64) * len(means) + np.maximum(low, high)[differ]
        pairs.append(np.unique(keys))
    parent = np.arange(len(means))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    for key in np.unique(np.concatenate(pairs)):
        one, two = divmod(int(key), len(means))
        if abs(means[one] - means[two]) < threshold:
            parent[root(one)] = root(two)
    roots = np.array([root(node) for node in range(len(means))])
    return roots[basins].astype(np.int32)


def _visible_objects(labels: NDArray[np.int32], texture: _Scaled) -> Iterator[PoolObject]:
    """Smoothed regions of a useful size whose border can be seen along every slicing axis."""
    pixels = labels.shape[1] * labels.shape[2]
    axes = (0, 1, 2) if texture.isotropic else (0,)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or any(s.stop - s.start > 0.8 * n for s, n in zip(box[1:], labels.shape[1:], strict=True)):
            continue
        wide = tuple(slice(max(0, s.start - MARGIN), s.stop + MARGIN) for s in box)
        inner = _smoothed(labels[wide] == number, texture.isotropic)
        areas = inner.reshape(len(inner), -1).sum(1)
        if not MIN_AREA <= areas.max() <= MAX_SHARE * pixels:
            continue
        image, gradient = texture.image[wide], texture.gradient[wide]
        turned = ((np.moveaxis(inner, a, 0), np.moveaxis(image, a, 0), np.moveaxis(gradient, a, 0)) for a in axes)
        if not all(_is_visible(*views) for views in turned):
            continue
        packed = PoolObject.from_mask(inner)
        corner = [int(s.start) + int(c) for s, c in zip(wide, packed.corner, strict=True)]
        yield PoolObject((corner[0], corner[1], corner[2]), packed.shape, packed.bits, packed.areas)


def _smoothed(mask: NDArray[np.bool_], isotropic: bool) -> NDArray[np.bool_]:
    """A region without ragged edges and without holes in its slices."""
    sigma = SMOOTHING if isotropic else (0, SMOOTHING, SMOOTHING)
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), sigma) > 0.5
    for index in range(len(smooth)):
        smooth[index] = ndimage.binary_fill_holes(smooth[index])
    return np.asarray(smooth, bool)


def _is_visible(mask: NDArray[np.bool_], image: NDArray[np.float32], gradient: NDArray[np.float32]) -> bool:
    """Whether slices differ in mean from their surroundings, have edges at the border, and change slowly."""
    contrasts, edges, overlaps = [], [], []
    before = None
    for index in np.flatnonzero(mask.reshape(len(mask), -1).sum(1) >= MIN_SLICE_AREA):
        inside = mask[index]
        ring = ndimage.binary_dilation(inside, iterations=3) & ~ndimage.binary_dilation(inside)
        core = ndimage.binary_erosion(inside)
        if not ring.any() or not core.any():
            return False
        one, two = image[index][inside], image[index][ring]
        contrasts.append(abs(one.mean() - two.mean()) / (0.5 * (one.std() + two.std()) + 0.02))
        edges.append(gradient[index][inside & ~core].mean() / (gradient[index][core].mean() + 0.01))
        if before is not None:
            overlaps.append((inside & before).sum() / (inside | before).sum())
        before = inside
    if not contrasts or np.median(contrasts) < MIN_CONTRAST or np.percentile(contrasts, 20) < MIN_CONTRAST / 2:
        return False
    return bool(np.median(edges) >= MIN_EDGE and (not overlaps or np.median(overlaps) >= MIN_OVERLAP))
