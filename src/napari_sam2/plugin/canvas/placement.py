"""Where a layer lies that is made for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Layer

__all__ = ["TRANSFORM", "lies_alike", "placement"]

TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "units")
"""What of a layer's attributes says where it lies."""

TOLERANCE = 1e-2
"""Of a voxel, over the whole layer: transforms are composed of float64 numbers that people typed."""


def placement(image: Image, n: int) -> dict[str, Any]:
    """What puts a layer exactly on an image.

    Transform, units and axis labels for a layer of `n` axes on the last axes of the image.
    """
    return {
        "scale": image.scale[-n:],
        "translate": image.translate[-n:],
        "rotate": np.asarray(image.rotate)[-n:, -n:],
        "shear": np.asarray(image.shear) if image.ndim == n else None,
        "affine": np.asarray(image.affine.affine_matrix)[-n - 1 :, -n - 1 :],
        "units": image.units[-n:],
        "axis_labels": image.axis_labels[-n:],
    }


def lies_alike(first: Layer, second: Layer, shape: Sequence[int]) -> bool:
    """Whether two layers put an array in the same place.

    An array of `shape`, by their whole transforms.

    Scale, translation, rotation, shear and affine count; units do only when both layers state some.
    """
    ndim = len(shape)
    if first.ndim != ndim or second.ndim != ndim:
        return False
    if _lengths(first) and _lengths(second) and tuple(first.units) != tuple(second.units):
        return False
    corners = np.vstack([np.zeros(ndim), np.diag(np.maximum(1, np.array(shape) - 1))])
    places = [np.array([layer.data_to_world(corner) for corner in corners]) for layer in (first, second)]
    voxel = min(float(np.linalg.norm(np.array(first.data_to_world(e)) - places[0][0])) for e in np.eye(ndim))
    return bool(np.abs(places[0] - places[1]).max() <= TOLERANCE * voxel)


def _lengths(layer: Layer) -> bool:
    return all(unit.is_compatible_with("mm") for unit in layer.units)
