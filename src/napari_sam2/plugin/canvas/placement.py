"""Where a layer lies that is made for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["placement"]


def placement(image: Image, n: int) -> dict[str, Any]:
    """What a layer of `n` axes needs to lie exactly on the last axes of an image: transform, units, axis labels."""
    return {
        "scale": image.scale[-n:],
        "translate": image.translate[-n:],
        "rotate": np.asarray(image.rotate)[-n:, -n:],
        "shear": np.asarray(image.shear) if image.ndim == n else None,
        "affine": np.asarray(image.affine.affine_matrix)[-n - 1 :, -n - 1 :],
        "units": image.units[-n:],
        "axis_labels": image.axis_labels[-n:],
    }
