"""Objects carried from one scan to another, against places computed voxel by voxel and against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.core.volume import Source, Volume
from napari_sam2.finding.other_scan import carried, laid_on
from napari_sam2.terms.terminology import Term


def _volume(shape, affine, name="scan"):
    return Volume(np.zeros(shape, np.int16), np.asarray(affine, float), source=Source(name=name))


def _affine(spacing, order=(0, 1, 2), signs=(1, 1, 1), origin=(0, 0, 0)):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (along, sign, step) in enumerate(zip(order, signs, spacing, strict=True)):
        affine[along, axis] = sign * step
    affine[:3, 3] = origin
    return affine


def _ball(volume, centre, radius):
    at = np.stack(np.indices(volume.shape), axis=-1).reshape(-1, 3)
    places = at @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return (np.linalg.norm(places - centre, axis=1) <= radius).reshape(volume.shape)


@settings(max_examples=25, deadline=None)
@given(
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(0.8, 2.5)] * 3),
)
def test_a_ball_lies_at_its_place_in_the_world_whatever_the_other_grid(order, signs, spacing):
    centre = np.array([3.0, -4.0, 8.0])
    earlier = _volume((40, 44, 30), _affine((1, 1, 1.5), origin=(-16, -26, -14)))
    size = [int(np.ceil(60 / step)) for step in spacing]
    affine = _affine(spacing, order, signs)
    middle = affine[:3, :3] @ ((np.array(size) - 1) / 2)
    later = _volume(size, _affine(spacing, order, signs, centre - middle))
    (candidate,), outside = carried(
        _ball(earlier, centre, 9).astype(np.uint8) * 3, earlier, later, {3: Term("ball", None, (1, 2, 3))}
    )
    wanted = _ball(later, centre, 9)
    laid = candidate.on_grid(later.shape)
    assert outside == []
    assert 2 * (laid & wanted).sum() / (laid.sum() + wanted.sum()) > 0.88
    assert candidate.term == Term("ball", None, (1, 2, 3), 3)


def test_the_same_grid_gives_the_same_voxels():
    volume = _volume((20, 20, 12), _affine((1, 1, 2)))
    mask = np.random.default_rng(1).random(volume.shape) > 0.7
    found = laid_on(volume, volume, mask, np.zeros(3, int))
    laid = np.zeros(volume.shape, bool)
    laid[tuple(slice(a, a + n) for a, n in zip(found[1], found[0].shape, strict=True))] = found[0]
    assert np.array_equal(laid, mask)


def test_a_transform_moves_the_mask_as_simpleitk_resamples_it():
    earlier, later = _volume((30, 30, 20), _affine((1, 1, 1))), _volume((36, 30, 24), _affine((1, 1, 1)))
    mask = _ball(earlier, (14, 13, 9), 6)
    turn = sitk.Euler3DTransform((15, 15, 10), 0.1, -0.05, 0.2, (2.3, -1.4, 0.7))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(turn.GetMatrix(), (3, 3))
    matrix[:3, 3] = turn.TransformPoint((0.0, 0, 0))
    image = sitk.GetImageFromArray(mask.astype(np.float32).transpose(2, 1, 0))
    grid = sitk.GetImageFromArray(np.zeros(later.shape, np.float32).transpose(2, 1, 0))
    wanted = sitk.GetArrayFromImage(sitk.Resample(image, grid, turn, sitk.sitkLinear, 0.0)).transpose(2, 1, 0) >= 0.5
    found, low = laid_on(later, earlier, mask, np.zeros(3, int), matrix)
    laid = np.zeros(later.shape, bool)
    laid[tuple(slice(a, a + n) for a, n in zip(low, found.shape, strict=True))] = found
    assert (laid != wanted).sum() <= 0.01 * wanted.sum()


@pytest.mark.parametrize("away", [(500, 0, 0), (0, 0, -80)])
def test_what_lies_nowhere_on_the_other_scan_is_named(away):
    earlier, later = _volume((20, 20, 20), _affine((1, 1, 1))), _volume((20, 20, 20), _affine((1, 1, 1), origin=away))
    labels = np.zeros(earlier.shape, np.uint8)
    labels[5:9, 5:9, 5:9] = 1
    assert carried(labels, earlier, later, {1: Term("lesion"), 2: Term("not there")}) == ([], ["lesion"])
