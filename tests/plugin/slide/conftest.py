"""A small pyramidal slide with known discs, and the same picture in memory."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_sam2.plugin.slide.reader import read_slide_layers
from tests.slides.conftest import MPP, stained, write_ome

SHAPE = (1600, 2000)
DISCS = ((400, 500, 120), (1000, 1400, 200), (1300, 400, 60))
"""Row, column and radius in level-0 pixels."""


def disc_outline(number):
    """The known outline of a disc, in pixel corners."""
    row, col, radius = DISCS[number]
    return shapely.Point(col + 0.5, row + 0.5).buffer(radius + 0.5)


def overlap(a, b):
    """IoU of two geometries."""
    return a.intersection(b).area / a.union(b).area


@pytest.fixture(scope="session")
def disc_pixels():
    return stained(SHAPE, *DISCS)


@pytest.fixture(scope="session")
def disc_slide(tmp_path_factory, disc_pixels):
    metadata = {f"PhysicalSize{a}": MPP for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
    return write_ome(tmp_path_factory.mktemp("slides") / "discs.ome.tif", disc_pixels, **metadata)


@pytest.fixture
def slide_layer_of(disc_slide):
    """Adds the slide to a viewer, as napari does with our reader."""
    opened = []

    def add(viewer):
        ((levels, fields, _),) = read_slide_layers(disc_slide)
        opened.append(fields["metadata"]["napari_sam2_slide"])
        return viewer.add_image(levels, **fields)

    yield add
    for slide in opened:
        slide.close()


def world_of(image, row, col):
    """The world position of a level-0 pixel."""
    return tuple(float(c) for c in image.data_to_world((row, col)))


def corners_of(number, margin=6):
    """Top left and bottom right (row, column) of a box around a disc."""
    row, col, radius = DISCS[number]
    reach = radius + margin
    return np.array([row - reach, col - reach]), np.array([row + reach, col + reach])
