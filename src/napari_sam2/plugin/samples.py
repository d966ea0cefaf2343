"""Sample data for File > Open Sample.

Small real scans that come with the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.plugin.reader import image_layer

if TYPE_CHECKING:
    from napari_sam2.plugin.reader import LayerTuple

__all__ = ["ct_abdomen", "mr_spine"]


def ct_abdomen() -> list[LayerTuple]:
    """A CT of the abdomen, 3 mm."""
    return _sample("ct_abdomen")


def mr_spine() -> list[LayerTuple]:
    """A T2-weighted MR of the neck, 1 mm."""
    return _sample("mr_spine")


def _sample(name: str) -> list[LayerTuple]:
    from napari_sam2.io import read_volume
    from napari_sam2.sample_data import sample

    return [image_layer(read_volume(sample(name)[0]))]
