"""Figures of MONAI 1.6.1 were recorded once on the masks made here; SimpleITK computes beside us."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from napari_sam2.core.volume import Volume
from napari_sam2.errors import GeometryError, UserInputError
from napari_sam2.measures.metrics import agreement, agreement_rows, compare_labels

SPACING = (0.9, 0.9, 3.0)
SHAPE = (80, 80, 24)

MONAI = {
    "shifted": (0.880051, 0.785796, 3.6, 4.5, 1.226395, 0.563372, 0.720095),
    "touching the edge": (0.952827, 0.909904, 1.8, 1.8, 0.293591, 0.882313, 1.0),
    "two pieces": (0.938312, 0.883793, 6.997142, 37.069126, 0.637373, 0.88465, 0.911475),
    "small": (0.25, 0.142857, 3.498571, 3.498571, 1.847585, 0.416667, 0.5),
}
"""compute_dice, compute_iou, compute_hausdorff_distance(percentile=95), compute_hausdorff_distance,
compute_average_surface_distance(symmetric=True), compute_surface_dice at 1 and at 2 mm."""


def masks(name):
    centre = np.array(SHAPE) * SPACING / 2
    grid = np.indices(SHAPE).transpose(1, 2, 3, 0) * np.array(SPACING)
    one = ((grid - centre) ** 2).sum(-1) < 20**2
    if name == "shifted":
        return one, ((grid - (centre + np.array([3, 0, 0]))) ** 2).sum(-1) < 21**2
    if name == "touching the edge":
        one[:6, :, :12] = True
        return one, np.roll(one, 2, axis=1)
    if name == "two pieces":
        other = one.copy()
        other[:, 30:34] = False
        other[2:5, 2:5, 2:4] = True
        return one, other
    one, other = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    one[10:13, 10:14, 5:7] = True
    other[11:15, 10:13, 6:8] = True
    return one, other


@pytest.mark.parametrize("name", MONAI)
def test_figures_equal_those_of_monai(name):
    one, other = masks(name)
    found, wider = agreement(one, other, SPACING, 1.0), agreement(one, other, SPACING, 2.0)
    ours = (found.dice, found.iou, found.hd95_mm, found.hd_mm, found.assd_mm, found.nsd, wider.nsd)
    np.testing.assert_allclose(ours, MONAI[name], rtol=2e-6)


def test_a_mask_deep_inside_another_has_a_surface_distance_where_simpleitk_sees_none():
    outer = np.zeros((20, 20, 20), bool)
    outer[2:18, 2:18, 2:18] = True
    inner = np.zeros_like(outer)
    inner[8:12, 8:12, 8:12] = True
    hollow = outer & ~inner
    found = agreement(outer, hollow, (1, 1, 1))
    # Of the surface around the hollow, the farthest voxels lie five steps inside the outer mask.
    assert found.hd_mm == pytest.approx(5)


@pytest.mark.parametrize("name", MONAI)
def test_overlap_and_hausdorff_distance_equal_those_of_simpleitk(name):
    one, other = masks(name)
    images = [sitk.GetImageFromArray(m.transpose(2, 1, 0).astype(np.uint8)) for m in (one, other)]
    for image in images:
        image.SetSpacing(SPACING)
    overlap, hausdorff = sitk.LabelOverlapMeasuresImageFilter(), sitk.HausdorffDistanceImageFilter()
    overlap.Execute(*images)
    hausdorff.Execute(*images)
    found = agreement(one, other, SPACING)
    assert found.dice == pytest.approx(overlap.GetDiceCoefficient(), abs=1e-9)
    assert found.iou == pytest.approx(overlap.GetJaccardCoefficient(), abs=1e-9)
    assert found.hd_mm == pytest.approx(hausdorff.GetHausdorffDistance(), abs=1e-5)


def test_both_definitions_of_hd95_are_computed_as_they_are_named():
    one, other = np.zeros((40, 1, 1), bool), np.zeros((40, 1, 1), bool)
    one[0] = True
    other[[0, 10]] = True
    found = agreement(one, other, (1, 1, 1))
    # Distances: from `one` (0), from `other` (0, 10).
    assert found.hd95_mm == pytest.approx(np.percentile([0, 10], 95))
    assert found.hd95_pooled_mm == pytest.approx(np.percentile([0, 0, 10], 95))
    assert found.assd_mm == pytest.approx(10 / 3)


@pytest.mark.parametrize(
    ("one", "other", "dice", "nsd", "hd"), [(0, 0, 1, 1, 0), (1, 0, 0, 0, math.nan), (0, 1, 0, 0, math.nan)]
)
def test_empty_masks_follow_the_stated_conventions(one, other, dice, nsd, hd):
    found = agreement(*(np.full((3, 3, 3), bool(v)) for v in (one, other)), (1, 1, 1))
    assert (found.dice, found.iou, found.nsd) == (dice, dice, nsd)
    np.testing.assert_equal((found.hd_mm, found.hd95_mm, found.assd_mm), (hd,) * 3)


def test_volume_difference_is_predicted_minus_reference():
    one, other = np.zeros((10, 10, 10), bool), np.zeros((10, 10, 10), bool)
    one[:5], other[:6] = True, True
    found = agreement(one, other, (1, 1, 2))
    assert found.volume_difference_ml == pytest.approx(0.2)
    assert found.volume_difference_percent == pytest.approx(20)


def test_label_maps_are_compared_id_by_id_and_missing_ids_count():
    reference = np.zeros((4, 4, 4), np.uint8)
    reference[0], reference[1] = 1, 2
    predicted = reference.copy()
    predicted[1] = 7
    found = compare_labels(reference, predicted, Volume(reference, np.eye(4)))
    assert {i: a.dice for i, a in found.items()} == {1: 1.0, 2: 0.0, 7: 0.0}
    assert [row["name"] for row in agreement_rows(found, {1: "liver"})] == ["liver", "object 2", "object 7"]


def test_masks_of_different_shapes_and_odd_tolerances_are_refused():
    one = np.ones((3, 3, 3), bool)
    with pytest.raises(GeometryError, match="one shape"):
        agreement(one, one[1:], (1, 1, 1))
    for tolerance in (-1, math.nan):
        with pytest.raises(UserInputError, match="tolerance"):
            agreement(one, one, (1, 1, 1), tolerance)
