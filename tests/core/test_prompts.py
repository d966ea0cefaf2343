from __future__ import annotations

import math

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts, Point, SlicePrompts, check_prompts, slice_axis_of
from napari_sam2.core.volume import Volume
from napari_sam2.errors import PromptError

VOLUME = Volume(np.zeros((10, 12, 14)), np.diag([-1.0, 2, 3, 1]))


def faults(*objects: ObjectPrompts, axis: int | None = None) -> list[str]:
    with pytest.raises(PromptError) as caught:
        check_prompts(objects, VOLUME, axis)
    return caught.value.faults


def test_all_faults_of_all_objects_come_at_once():
    found = faults(
        ObjectPrompts(0, (Point((1, 1, 1)),)),
        ObjectPrompts(2, (Point((1, math.nan, 1)), Box(((0, 0, 3), (20, 5, 3))), Point((1, 1, 1), positive=False))),
        ObjectPrompts(2, (Point((1, 1, 1), positive=False),)),
    )
    assert len(found) == 5
    assert "the id must be 1" in found[0]
    assert "prompt 1, point (1, nan, 1): every coordinate must be a finite number" in found[1]
    assert "prompt 2, box (0, 0, 3) to (20, 5, 3): outside the volume in i = 20 (0 to 9)" in found[2]
    assert "used twice" in found[3]
    assert "no positive prompt" in found[4]


@pytest.mark.parametrize(
    "corners", [((1, 2, 3), (4, 5, 6)), ((1, 2, 3), (1, 2, 6)), ((1, 2, 3), (1, 2, 3))], ids=["none", "two", "three"]
)
def test_a_box_must_lie_on_exactly_one_slice(corners):
    assert "must agree in exactly one index" in faults(ObjectPrompts(1, (Box(corners),)))[0]


def test_boxes_of_one_object_share_their_slice_axis():
    mixed = ObjectPrompts(1, (Box(((1, 1, 3), (4, 5, 3))), Box(((1, 2, 3), (1, 5, 6)))))
    assert "across i, but the other prompts lie across k" in faults(mixed)[0]


def test_a_mask_must_fit_its_slice():
    wrong = MaskPrompt(np.ones((10, 14), dtype=bool), axis=2, index=3)
    empty = MaskPrompt(np.zeros((10, 12), dtype=bool), axis=2, index=99)
    found = faults(ObjectPrompts(1, (wrong, empty)))
    assert "has shape (10, 14), but the slice has (10, 12)" in found[0]
    assert "run from 0 to 13" in found[1]
    assert "is empty" in found[2]


def test_no_prompt_at_all_says_what_to_give():
    assert faults() == ["There is no prompt: give a box, a point or a mask."]


def test_good_prompts_pass():
    check_prompts(
        [ObjectPrompts(1, (Box(((4, 5, 3), (1, 1, 3))), Point((2.4, 3.0, 3.0)), Point((9.4, -0.4, 13.4), False)))],
        VOLUME,
    )


def test_boxes_and_masks_name_the_axis_and_points_do_not():
    assert slice_axis_of([Point((1, 1, 1)), Box(((1, 2, 3), (1, 5, 6)))]) == 0
    assert slice_axis_of([MaskPrompt(np.ones((10, 14), dtype=bool), axis=1, index=0)]) == 1
    assert slice_axis_of([Point((1, 1, 1))]) is None


def test_prompts_are_sorted_by_slice_and_laid_out_as_the_plane_is():
    plane = VOLUME.plane(2)
    mask = np.zeros((10, 12), dtype=bool)
    mask[2, 3] = True
    prompts = [Point((2.2, 3, 4.6)), Box(((6, 7, 5), (2, 3, 5))), MaskPrompt(mask, 2, 8)]
    by_slice = SlicePrompts.of(prompts, VOLUME, 2)
    assert sorted(by_slice) == [5, 8]
    assert np.allclose(by_slice[5].points, plane.to_plane([(2.2, 3, 5)]))
    row0, col0, row1, col1 = by_slice[5].box
    assert (row1 - row0, col1 - col0) == (5, 5)
    row, col = np.argwhere(by_slice[8].mask)[0]
    assert tuple(plane.to_voxel((row, col), 8)) == (2, 3, 8)
