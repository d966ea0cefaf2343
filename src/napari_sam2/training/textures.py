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

__all__ = ["Texture", "texture_volume"]

#: Levels to which an image that is not CT is scaled: int16 holds them with room to spare.
IMAGE_LEVELS = 4095
#: Objects kept per volume at most; a volume with one slice yields far fewer.
MAX_OBJECTS = 160
#: Pixels of an object in its largest slice, and the share of the slice it may cover.
MIN_AREA, MAX_SHARE = 40, 0.3
#: Difference of means across the border over the mean standard deviation, below which it is not visible.
MIN_CONTRAST = 0.7
#: Share of its bounding box that an object must fill.
MIN_EXTENT = 0.15


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
    voxels = _stored(texture)
    scaled = _scaled(texture)
    found: list[PoolObject] = []
    for _ in range(rounds):
        sigma = float(rng.uniform(0.4, 1.4))
        smooth = ndimage.gaussian_filter(scaled, sigma if texture.isotropic else (0, sigma, sigma))
        for labels in (_bands(rng, smooth, texture.isotropic), _basins(rng, smooth, texture.isotropic)):
            found.extend(_visible_objects(labels, scaled))
    if len(found) > MAX_OBJECTS:
        found = [found[int(i)] for i in np.sort(rng.permutation(len(found))[:MAX_OBJECTS])]
    return PoolVolume(texture.name, texture.kind, voxels, texture.isotropic, found)


def _stored(texture: Texture) -> NDArray[np.int16]:
    if texture.kind == "ct":
        return np.clip(np.rint(texture.voxels), -1024, 3071).astype(np.int16)
    low, high = np.percentile(texture.voxels, [0.05, 99.95])
    scaled = (texture.voxels - low) / max(float(high - low), 1e-6)
    return np.rint(np.clip(scaled, 0, 1) * IMAGE_LEVELS).astype(np.int16)


def _scaled(texture: Texture) -> NDArray[np.float32]:
    """Intensities in [0, 1] in which soft tissue is visible."""
    if texture.kind == "ct":
        return np.clip((texture.voxels + 200) / 500, 0, 1).astype(np.float32)
    filled = texture.voxels[texture.voxels > texture.voxels.min()]
    low, high = np.percentile(filled if filled.size > 100 else texture.voxels, [1, 99])
    return np.clip((texture.voxels - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def _structure(isotropic: bool) -> NDArray[np.bool_]:
    """The six-neighbourhood, or its in-plane part where slices are far apart."""
    cross = ndimage.generate_binary_structure(3, 1)
    if not isotropic:
        cross[[0, 2]] = False
    return cross


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


def _visible_objects(labels: NDArray[np.int32], scaled: NDArray[np.float32]) -> Iterator[PoolObject]:
    """Objects of a useful size whose border can be seen on their largest slice."""
    pixels = scaled.shape[1] * scaled.shape[2]
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or any(s.stop - s.start > 0.8 * n for s, n in zip(box[1:], scaled.shape[1:], strict=True)):
            continue
        inner = labels[box] == number
        areas = inner.reshape(len(inner), -1).sum(1)
        if not MIN_AREA <= areas.max() <= MAX_SHARE * pixels:
            continue
        for index in range(len(inner)):
            inner[index] = ndimage.binary_fill_holes(inner[index])
        largest = int(areas.argmax())
        if inner[largest].mean() < MIN_EXTENT or not _border_is_visible(inner[largest], box, largest, scaled):
            continue
        packed = PoolObject.from_mask(inner)
        corner = tuple(int(s.start) + int(c) for s, c in zip(box, packed.corner, strict=True))
        yield PoolObject((corner[0], corner[1], corner[2]), packed.shape, packed.bits, packed.areas)


def _border_is_visible(
    inner: NDArray[np.bool_], box: tuple[slice, ...], index: int, scaled: NDArray[np.float32]
) -> bool:
    reach = 4
    rows = slice(max(0, box[1].start - reach), box[1].stop + reach)
    columns = slice(max(0, box[2].start - reach), box[2].stop + reach)
    image = scaled[box[0].start + index, rows, columns]
    mask = np.zeros(image.shape, bool)
    top, left = box[1].start - rows.start, box[2].start - columns.start
    mask[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    ring = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
    if not ring.any():
        return False
    inside, outside = image[mask], image[ring]
    spread = 0.5 * (inside.std() + outside.std()) + 0.02
    return bool(abs(inside.mean() - outside.mean()) / spread >= MIN_CONTRAST)
