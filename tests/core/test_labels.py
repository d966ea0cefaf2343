from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from napari_sam2.core.labels import ObjectMasks, compose, label_dtype
from napari_sam2.core.slice_masks import SliceMask, iou
from napari_sam2.core.volume import Volume
from napari_sam2.errors import UserInputError

VOLUME = Volume(np.zeros((4, 5, 6)), np.diag([1.0, -1, 1, 1]))


def full(axis: int, object_id: int, index: int) -> ObjectMasks:
    return ObjectMasks(object_id, axis, {index: SliceMask.of(np.ones(VOLUME.plane(axis).shape, dtype=bool))})


def test_the_object_made_first_keeps_shared_voxels_unless_the_rule_says_last():
    objects = [full(2, 7, 3), full(0, 9, 1)]
    first, last = compose(VOLUME, objects), compose(VOLUME, objects, "last")
    assert (first == 7).sum() == 20
    assert (first == 9).sum() == 30 - 5
    assert (last == 7).sum() == 20 - 5
    assert (last == 9).sum() == 30
    with pytest.raises(UserInputError, match="overlap rule"):
        compose(VOLUME, objects, "both")


@pytest.mark.parametrize(("largest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (70000, np.int32)])
def test_the_smallest_type_that_holds_the_ids_is_used(largest, dtype):
    assert label_dtype(largest) is dtype


@given(arrays(bool, (6, 7)))
def test_a_cropped_mask_is_the_mask(mask):
    cropped = SliceMask.of(mask)
    assert np.array_equal(cropped.full(mask.shape), mask)
    assert cropped.n_voxels == mask.sum()


@given(arrays(bool, (6, 7)), arrays(bool, (6, 7)))
def test_iou_of_cropped_masks_is_that_of_the_masks(first, second):
    union = (first | second).sum()
    expected = 1.0 if union == 0 else (first & second).sum() / union
    assert iou(SliceMask.of(first), SliceMask.of(second)) == pytest.approx(expected)
