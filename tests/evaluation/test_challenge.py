"""The challenge's rules against other implementations of the same sentence."""

import numpy as np
import pytest
from scipy import integrate, ndimage

from napari_sam2.evaluation.challenge import area_under_clicks, error_click, extent_of, middle_box


def blob(seed, shape=(14, 18, 16)):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return noise > np.quantile(noise, 0.8)


def largest_error_by_flooding(error):
    """26-connected parts by hand, the largest as a set of voxels."""
    left, best = {tuple(v) for v in np.argwhere(error)}, set()
    while left:
        part, front = set(), [left.pop()]
        while front:
            voxel = front.pop()
            part.add(voxel)
            steps = {tuple(np.add(voxel, d) - 1) for d in np.ndindex(3, 3, 3)}
            front += steps & left
            left -= steps
        best = max(best, part, key=len)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_a_click_lies_deepest_in_the_largest_error(seed):
    truth, answer = blob(seed), blob(seed + 100)
    click = error_click(answer, truth)
    part = largest_error_by_flooding(answer != truth)
    outside = np.array([v for v in np.ndindex(*np.add(truth.shape, 2)) if tuple(np.subtract(v, 1)) not in part]) - 1

    def depth(voxel):
        return np.sqrt(((outside - voxel) ** 2).sum(1)).min()

    voxel = tuple(int(c) for c in click.voxel)
    assert voxel in part
    assert depth(voxel) == pytest.approx(max(depth(v) for v in part))
    assert click.positive == truth[voxel] != answer[voxel]


def test_among_equally_deep_voxels_the_organisers_seed_decides():
    truth = np.zeros((9, 9, 9), bool)
    truth[2:7, 4, 4] = True
    ties = np.argwhere(truth)
    np.random.seed(42)  # noqa: NPY002 - as the organisers' script does it
    wanted = ties[np.random.choice(len(ties))]  # noqa: NPY002
    assert error_click(np.zeros_like(truth), truth).voxel == tuple(wanted)


def test_nothing_wrong_needs_no_click():
    assert error_click(blob(1), blob(1)) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_box_is_tight_on_the_slice_of_the_median_voxel(axis):
    truth = blob(3)
    box = middle_box(truth, axis)
    z = np.argwhere(np.moveaxis(truth, axis, 0))[:, 0]  # sorted by slice, as in the organisers' script
    middle = z[len(z) // 2]
    assert box.fixed_axes == (axis,)
    assert box.slice_index(axis) == middle
    section = np.take(truth, middle, axis)
    part = tuple(slice(lo, hi + 1) for a, (lo, hi) in enumerate(zip(box.low, box.high, strict=True)) if a != axis)
    assert section[part].sum() == section.sum()
    for across in (0, 1):
        edges = section[part].any(across)
        assert edges[0]
        assert edges[-1]


def test_the_extent_holds_all_of_the_object_and_ends_on_it():
    truth = np.zeros((5, 6, 7), bool)
    truth[1:3, 2, 4] = True
    assert [extent_of(truth, axis) for axis in range(3)] == [range(1, 3), range(2, 3), range(4, 5)]


def test_the_area_under_five_clicks_is_the_organisers():
    values = [0.80, 0.84, 0.86, 0.875, 0.88]
    assert area_under_clicks(values) == pytest.approx(integrate.cumulative_trapezoid(values, np.arange(5))[-1])
    assert area_under_clicks([1.0] * 5) == 4
