from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, Point
from napari_sam2.core.volume import Volume
from napari_sam2.models.base import SegmentationModel
from napari_sam2.models.classical import ClassicalModel
from napari_sam2.session.session import Session
from tests.phantoms import ball, box_on, dice


def test_it_speaks_the_engines_protocol():
    assert isinstance(ClassicalModel(), SegmentationModel)


def test_a_box_is_filled_by_what_differs_from_its_surroundings():
    """An L-shaped object: the box alone would give a rectangle."""
    voxels = np.random.default_rng(0).normal(50, 5, (60, 60, 1))
    inside = np.zeros((60, 60), dtype=bool)
    inside[15:45, 20:30] = inside[35:45, 20:50] = True
    voxels[inside] += 40
    session = Session(Volume(voxels, np.eye(4), oriented=False), ClassicalModel())
    session.add_prompt(1, Box(((15, 20, 0), (44, 49, 0))))
    assert dice(session.label_map()[..., 0] == 1, inside) > 0.9


def test_without_contrast_a_box_gives_no_more_than_the_box():
    voxels = np.zeros((40, 40, 2))
    voxels[0, 0, 0] = 1
    session = Session(Volume(voxels, np.eye(4), oriented=False), ClassicalModel())
    session.add_prompt(1, Box(((10, 10, 1), (20, 25, 1))))
    outside = session.label_map()[..., 1].copy()
    outside[10:21, 10:26] = 0
    assert not outside.any()


def test_colours_of_equal_brightness_are_told_apart():
    rgb = np.zeros((50, 50, 1, 3), dtype=np.uint8)
    rgb[..., 0], rgb[..., 2] = 180, 60
    inside = np.hypot(*(np.indices((50, 50)) - 25)) < 12
    rgb[inside, 0, 0], rgb[inside, 0, 2] = 60, 180
    session = Session(Volume(rgb, np.eye(4), oriented=False), ClassicalModel())
    session.add_prompt(1, Box(((13, 13, 0), (37, 37, 0))))
    assert dice(session.label_map()[..., 0] == 1, inside) > 0.9


def test_a_second_click_adds_a_part_of_unlike_brightness():
    voxels = np.random.default_rng(1).normal(60, 3, (60, 60, 1))
    inside = np.zeros((60, 60), dtype=bool)
    inside[20:40, 15:45] = True
    voxels[20:40, 15:30] -= 40
    voxels[20:40, 30:45] += 40
    session = Session(Volume(voxels, np.eye(4), oriented=False), ClassicalModel())
    scores = []
    for point in (Point((30, 22, 0)), Point((30, 37, 0))):
        session.add_prompt(1, point)
        scores.append(dice(session.label_map()[..., 0] == 1, inside))
    assert scores[0] < 0.75
    assert scores[1] > 0.85


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_tracks_a_ball_across_any_axis_and_ends_with_it(axis):
    volume, inside = ball()
    session = Session(volume, ClassicalModel(), axis=axis)
    session.add_prompt(1, box_on(inside, axis, (24, 22, 20)[axis]))
    visited = [result.index for result in session.propagate()]
    assert dice(session.label_map() == 1, inside) > 0.88
    assert len(visited) < volume.shape[axis] - 1
