"""Corrections around a click: connected, mirrored, bounded, and towards the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_sam2.engine.correction import TRUSTED_REACH, correct, correct_widely
from napari_sam2.engine.correction_evidence import WIDE, at_places, on_voxels
from napari_sam2.engine.correction_odds import UNBOUNDED


@dataclass
class Phantom:
    """A grey volume and an object in it."""

    voxels: np.ndarray
    object: np.ndarray
    spacing: tuple[float, float, float] = (3.0, 1.0, 1.0)

    @property
    def shape(self):
        return self.object.shape

    def mask(self, window):
        return self.object[window].copy()

    def image(self, window):
        return self.voxels[window].astype(np.float32)


def ball(shape, centre, radius, spacing=(3.0, 1.0, 1.0)):
    grid = np.indices(shape)
    return sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, spacing, strict=True)) <= radius**2


SHAPE = (12, 48, 48)
TRUTH = ball(SHAPE, (6, 24, 24), 15)
GREY = np.where(TRUTH, 0.7, 0.3) + np.random.default_rng(3).normal(0, 0.03, SHAPE)


def after(scene, click, include, by=correct, **more):
    change = by(scene, click, include, **more)
    mask = scene.object.copy()
    if change is not None:
        mask[change.window] ^= change.voxels
    return mask


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


both = pytest.mark.parametrize("by", [correct, correct_widely])


@both
def test_a_missing_lobe_comes_back_with_one_click(by):
    lost = TRUTH & ~ball(SHAPE, (6, 24, 36), 9)
    mask = after(Phantom(GREY, lost), (6, 24, 33), True, by)
    assert overlap(lost, TRUTH) < 0.94
    assert overlap(mask, TRUTH) > 0.97


@both
def test_a_leak_goes_with_one_click_and_the_object_stays(by):
    leaked = TRUTH | ball(SHAPE, (6, 24, 40), 7)
    mask = after(Phantom(GREY, leaked), (6, 24, 43), False, by)
    assert overlap(mask, TRUTH) > overlap(leaked, TRUTH)
    assert (mask & TRUTH).sum() > 0.97 * TRUTH.sum()
    assert mask.any((1, 2)).tolist() == leaked.any((1, 2)).tolist(), "no slice is emptied"


def test_a_click_that_says_what_the_mask_says_changes_nothing():
    assert correct(Phantom(GREY, TRUTH), (6, 24, 24), True) is None
    assert correct(Phantom(GREY, TRUTH), (6, 2, 2), False) is None


clicks = st.tuples(st.integers(1, 10), st.integers(4, 43), st.integers(4, 43))


@pytest.mark.parametrize("by", [correct, partial(correct_widely, odds=UNBOUNDED)], ids=["alone", "widely"])
@settings(deadline=None, max_examples=10)
@given(clicks, st.booleans(), st.integers(0, 999))
def test_an_exclude_click_is_an_include_click_on_the_outside(by, click, include, seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), (0.7, 2, 2))
    mask = noise > 0.01
    earlier = [((3, 20, 20), include), ((8, 30, 14), not include)]
    swapped = [(voxel, not of) for voxel, of in earlier]
    one = by(Phantom(GREY, mask), click, include, earlier)
    other = by(Phantom(GREY, ~mask), click, not include, swapped)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.window == other.window
        assert np.array_equal(one.voxels, other.voxels)


@both
@settings(deadline=None, max_examples=10)
@given(clicks, st.booleans(), st.integers(0, 999))
def test_what_changes_is_connected_bounded_and_leaves_what_is_kept(by, click, include, seed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), (0.7, 2, 2))
    mask = noise > 0.01
    other = [tuple(int(v) for v in np.minimum(np.array(click) + step, 47)) for step in ((0, 1, 0), (0, 0, 2))]
    earlier = [(voxel, not include) for voxel in other]
    fixed = [click[0] + 1]
    scene = Phantom(GREY, mask)
    change = by(scene, click, include, earlier=earlier, fixed_slices=fixed)
    if change is None:
        return
    flipped = np.zeros(SHAPE, dtype=bool)
    flipped[change.window] = change.voxels
    assert flipped[click]
    assert ndimage.label(flipped)[1] == 1
    assert not (mask[flipped] == include).any()
    assert not any(flipped[voxel] for voxel in other)
    assert not flipped[fixed].any()
    depth = ndimage.distance_transform_edt(mask != include, sampling=scene.spacing)[click]
    away = np.sqrt((((np.argwhere(flipped) - click) * scene.spacing) ** 2).sum(1)).max()
    reach = TRUSTED_REACH * max(depth, 1.0) if by is correct else max(WIDE.depths * depth, WIDE.steps)
    assert away <= reach + 2 * np.linalg.norm(scene.spacing)


@both
@pytest.mark.parametrize("include", [True, False])
def test_a_flat_volume_and_an_empty_object_are_answered(by, include):
    empty = np.zeros(SHAPE, dtype=bool)
    scene = Phantom(np.full(SHAPE, 0.5), empty if include else ~empty)
    change = by(scene, (5, 20, 20), include)
    assert change is not None
    assert change.voxels.any()


@both
def test_a_single_slice_is_corrected_as_well(by):
    truth, grey = TRUTH[6:7], GREY[6:7]
    lost = truth & ~ball(SHAPE, (6, 24, 36), 9)[6:7]
    assert overlap(after(Phantom(grey, lost), (0, 24, 33), True, by), truth) > 0.95


def test_where_the_network_finds_nothing_the_perceptron_answers():
    lost = TRUTH & ~ball(SHAPE, (6, 24, 36), 9)
    scene = Phantom(GREY, lost)
    silent = correct_widely(scene, (6, 24, 33), True, network=lambda channels: np.full(channels.shape[1:], -20.0))
    near = correct(scene, (6, 24, 33), True)
    assert silent.window == near.window
    assert np.array_equal(silent.voxels, near.voxels)


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 3, 1), (1, 4, 2)])
def test_at_some_voxels_a_grid_says_the_same_to_the_last_digit(strides):
    counts = (13, 20, 17)
    values = np.random.default_rng(0).normal(size=tuple(-(-n // s) for n, s in zip(counts, strides, strict=True)))
    window = tuple(slice(5, 5 + n) for n in counts)
    places = np.argwhere(np.ones(counts, bool))[::7]
    assert np.array_equal(at_places(values, places, strides), on_voxels(values, window, strides)[tuple(places.T)])
