"""Classical methods, given the same prompts as the model.

They are what a user has today without a network. Settings are fixed, not tuned per volume. Masks are
(rows, columns) bool; boxes are row0, column0, row1, column1 with the last row and column outside.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import flood, random_walker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "copy_through",
    "ellipse_in_box",
    "flood_from_click",
    "otsu_in_box",
    "walk_from_clicks",
    "walk_through",
]

#: Tolerance of the flood fill, in a window of [0, 1].
FLOOD_TOLERANCE = 0.1
#: Edge sensitivity of the random walker.
WALKER_BETA = 300.0
#: Longest side on which the random walker runs; larger images are shrunk first.
WALKER_SIDE = 160
#: Radius of a click's seed over the longer side of the image.
SEED_RADIUS = 0.012
#: An image whose intensities span less than this has nothing to walk along.
FLAT = 1e-6
#: Rim left undecided around the previous mask, over its equivalent radius.
RIM = 0.15

Box = tuple[int, int, int, int]


def ellipse_in_box(shape: tuple[int, int], box: Box) -> NDArray[np.bool_]:
    """The inscribed ellipse: what can be known without looking."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    centre = ((box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2)
    half = ((box[2] - box[0]) / 2, (box[3] - box[1]) / 2)
    inside = ((rows - centre[0]) / half[0]) ** 2 + ((columns - centre[1]) / half[1]) ** 2 <= 1
    return np.asarray(inside, bool)


def otsu_in_box(image: NDArray[np.float32], box: Box) -> NDArray[np.bool_]:
    """Otsu's threshold of the box's pixels.

    The side on which the middle of the box lies.
    """
    smooth = ndimage.gaussian_filter(image, 1.0)
    part = smooth[box[0] : box[2], box[1] : box[3]]
    if part.size < 4 or float(np.ptp(part)) < 1e-6:
        return ellipse_in_box(image.shape, box)
    threshold = threshold_otsu(part)
    middle = ellipse_in_box(part.shape, (0, 0, *part.shape))
    bright = bool((part[middle] > threshold).mean() > 0.5)
    inside = (part > threshold) if bright else (part <= threshold)
    result = np.zeros(image.shape, bool)
    result[box[0] : box[2], box[1] : box[3]] = inside
    middle_pixel = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    return np.asarray(ndimage.binary_fill_holes(_component_at(result, middle_pixel)), bool)


def flood_from_click(
    image: NDArray[np.float32], click: tuple[int, int], tolerance: float = FLOOD_TOLERANCE
) -> NDArray[np.bool_]:
    """Flood fill from a click (row, column) within a fixed tolerance."""
    filled = flood(ndimage.gaussian_filter(image, 1.0), click, tolerance=tolerance)
    return np.asarray(ndimage.binary_fill_holes(filled), bool)


def walk_from_clicks(
    image: NDArray[np.float32], clicks: Sequence[tuple[int, int]], labels: Sequence[int]
) -> NDArray[np.bool_]:
    """Random walker from clicks (row, column); the image's border counts as outside."""
    inside, outside = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    outside[[0, -1], :] = True
    outside[:, [0, -1]] = True
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    radius = max(1.0, SEED_RADIUS * max(image.shape))
    for (row, column), label in zip(clicks, labels, strict=True):
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        (inside if label else outside)[disc] = True
    return _walk(image, inside, outside & ~inside)


def copy_through(first: NDArray[np.bool_], start: int, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The prompted slice's mask on every slice of the object.

    Where it is ``present``, (slices,) bool.
    """
    result = np.zeros((len(present), *first.shape), bool)
    result[present] = first
    result[start] = first
    return result


def walk_through(image: NDArray[np.float32], first: NDArray[np.bool_], start: int) -> NDArray[np.bool_]:
    """Random walker slice by slice.

    Seeded by the eroded mask of the slice before.
    """
    result = np.zeros(image.shape, bool)
    result[start] = first
    for order in (range(start + 1, len(image)), range(start - 1, -1, -1)):
        previous = first
        for index in order:
            if previous.sum() < 4:
                break
            previous = _walk_on(image[index], previous)
            result[index] = previous
    return result


def _walk_on(image: NDArray[np.float32], previous: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rim = max(1, int(RIM * np.sqrt(previous.sum() / np.pi)))
    inside = ndimage.binary_erosion(previous, iterations=rim)
    inside = inside if inside.any() else previous
    outside = ~ndimage.binary_dilation(previous, iterations=rim + 1)
    rows, columns = np.nonzero(~outside)
    part = (
        slice(max(0, rows.min() - 3), rows.max() + 4),
        slice(max(0, columns.min() - 3), columns.max() + 4),
    )
    result = np.zeros(image.shape, bool)
    result[part] = _walk(image[part], inside[part], outside[part])
    return result


def _walk(image: NDArray[np.float32], inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not inside.any() or not outside.any():
        return inside
    factor = int(np.ceil(np.sqrt(image.size) / WALKER_SIDE))
    seeds = np.zeros(image.shape, np.int32)
    seeds[outside] = 2
    seeds[inside] = 1
    smooth = ndimage.gaussian_filter(image, 1.0)
    if factor > 1:
        smooth = ndimage.zoom(smooth, 1 / factor, order=1)
        parts = [ndimage.zoom(part.astype(np.float32), 1 / factor, order=1) > 0.4 for part in (inside, outside)]
        seeds = np.where(parts[0], 1, np.where(parts[1], 2, 0)).astype(np.int32)
    if any(not (seeds == value).any() for value in (0, 1, 2)) or float(np.ptp(smooth)) < FLAT:
        return inside
    with warnings.catch_warnings():
        # The solver stops at a tolerance at which probabilities may leave [0, 1] by a little.
        warnings.simplefilter("ignore", UserWarning)
        walked = random_walker(smooth, seeds, beta=WALKER_BETA, mode="cg_j", tol=1e-3) == 1
    if factor == 1:
        return np.asarray(walked, bool)
    grown = ndimage.zoom(walked.astype(np.float32), np.array(image.shape) / walked.shape, order=1) > 0.5
    return np.asarray(grown[: image.shape[0], : image.shape[1]], bool)


def _component_at(mask: NDArray[np.bool_], pixel: tuple[int, int]) -> NDArray[np.bool_]:
    """The component at a pixel, or the largest if there is none."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    if labels[pixel]:
        return np.asarray(labels == labels[pixel])
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()))
