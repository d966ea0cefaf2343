"""Two scans of one body: at the same place, objects carried over, growth in the figures, one seen at a time."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.terms.terminology import Term
from tests.plugin.conftest import BALL_AFFINE, BALL_CENTRE, BALL_SHAPE, Bench, ball_truth

CENTRE = BALL_CENTRE.astype(int)
LARGER_MM = 10.0


def _grown() -> np.ndarray:
    at = np.stack(np.indices(BALL_SHAPE), axis=-1) - BALL_CENTRE
    return np.linalg.norm(at * (1, 1, 2), axis=-1) <= LARGER_MM


@pytest.fixture
def two(ball_bench: Bench, ball_file, tmp_path):
    """The ball with its object, and a later scan, stored in another order, in which it has grown."""
    ball_bench.controller.panel_shown()
    labels = ball_file.with_name("ball_labels.nii.gz")
    nib.save(nib.Nifti1Image(ball_truth().astype(np.uint8) * 3, BALL_AFFINE), labels)
    ball_bench.controller.open_labels(labels)
    ball_bench.settle()
    ball_bench.controller.work.describe(3, Term("ball", None, (9, 200, 30)))
    ball_bench.settle()
    noise = np.random.default_rng(4).normal(0, 8, BALL_SHAPE)
    voxels = (100 + 150 * _grown() + noise).astype(np.int16)
    later = tmp_path / "later.nii.gz"
    nib.save(nib.Nifti1Image(voxels.transpose(2, 0, 1)[::-1], _turned()), later)
    first = ball_bench.controller.work
    ball_bench.open(later)
    return ball_bench, first, ball_bench.controller.work


def _turned() -> np.ndarray:
    affine = BALL_AFFINE[:, [2, 0, 1, 3]].copy()
    affine[:3, 3] += affine[:3, 0] * (BALL_SHAPE[2] - 1)
    affine[:3, 0] *= -1
    return affine


def test_one_voxel_of_the_other_scan_is_at_the_place_of_one_here(two):
    _bench, first, second = two
    assert second.other.chosen is first
    there = second.other.place_there((BALL_SHAPE[2] - 1 - 12, 18, 20))
    assert there == pytest.approx(BALL_CENTRE)
    assert second.other.place_here(there) == pytest.approx((BALL_SHAPE[2] - 1 - 12, 18, 20))


def test_objects_are_proposed_at_their_place_and_keep_id_and_name_when_accepted(two):
    bench, first, second = two
    bench.controller.do("carry_over")
    bench.settle()
    (candidate,) = second.finding.candidates
    assert candidate.name == "ball"
    assert "Y accepts" in bench.controller.workspace.status
    assert not second.snapshot.objects
    assert any(layer.name == "later candidates" for layer in bench.viewer.layers)
    bench.controller.do("accept_candidate")
    bench.settle()
    assert (second.object(3).name, second.object(3).colour) == ("ball", (9, 200, 30))
    carried = bench.labels() == 3
    assert np.array_equal(carried[::-1].transpose(1, 2, 0), ball_truth())
    assert first.snapshot.objects.keys() == {3}
    bench.controller.do("carry_over")
    assert "are here already" in bench.controller.workspace.status


def test_growth_stands_in_the_figures_in_ml_and_percent(two):
    bench, _first, second = two
    bench.controller.do("carry_over")
    bench.settle()
    bench.controller.do("accept_candidates")
    bench.settle()
    labels = bench.labels()
    grown = _grown().transpose(2, 0, 1)[::-1]
    from napari_sam2.core.slice_masks import SliceMask

    second.edit_masks(
        3,
        second.object(3).axis,
        {i: SliceMask.of(second.shown.volume.plane(0).take(grown, i)) for i in range(BALL_SHAPE[2])},
    )
    bench.settle()
    assert second.object(3).axis == 0
    assert labels.shape == grown.shape
    bench.controller.do("measure_objects")
    bench.settle()
    row = dict(zip(second.figures.headers, second.figures.rows[0], strict=True))
    before, after = (float(mask.sum()) * 0.002 for mask in (ball_truth(), _grown()))
    assert row["Volume (mL)"] == pytest.approx(after)
    assert row["Before (mL)"] == pytest.approx(before)
    assert row["Change (mL)"] == pytest.approx(after - before)
    assert row["Change (%)"] == pytest.approx(100 * (after / before - 1))


def test_another_structure_of_the_same_number_is_no_growth(two):
    bench, _first, second = two
    bench.controller.do("carry_over")
    bench.settle()
    bench.controller.do("accept_candidates")
    bench.settle()
    bench.controller.name_object(3, "liver")
    bench.settle()
    bench.controller.do("measure_objects")
    bench.settle()
    assert not any("Change" in header for header in second.figures.headers)
    assert len(second.figures.rows) == 1


def test_the_other_scan_is_hidden_while_it_would_lie_turned_and_comes_back(two):
    bench, first, second = two
    assert not first.image.visible
    assert not first.result.layer.visible
    assert second.image.visible
    bench.controller.use_image(first.image)
    assert first.image.visible
    assert first.result.layer.visible
    assert not second.image.visible
    plane = first.shown.volume.plane(first.view.axis())
    ndim = bench.viewer.dims.ndim
    assert bench.viewer.dims.order[-2:] == tuple(
        first.shown.grid.voxel_axis_to_viewer(axis, ndim) for axis in (plane.row_axis, plane.col_axis)
    )


def test_a_scan_elsewhere_is_said_to_be_elsewhere(two, tmp_path):
    bench, _first, _second = two
    far = BALL_AFFINE.copy()
    far[:3, 3] += 900
    path = tmp_path / "far.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(0, 99, BALL_SHAPE).astype(np.int16), far), path)
    bench.open(path)
    work = bench.controller.work
    work.other.choose(_first)
    bench.controller.do("carry_over")
    bench.settle()
    assert "do not overlap" in bench.controller.workspace.status


def test_without_another_scan_it_is_said_what_to_do(ball_bench):
    for name in ("carry_over", "lay_on"):
        ball_bench.controller.do(name)
        assert "Open the other scan first" in ball_bench.controller.workspace.status


def test_a_moved_body_is_laid_on_the_other_scan(ball_bench, ball_file, tmp_path):
    """The same voxels with another origin: the registration finds the shift that the header hides."""
    rng = np.random.default_rng(5)
    from scipy import ndimage

    body = ndimage.gaussian_filter(rng.normal(0, 1, (48, 44, 40)), 3)
    body = (1000 * (body - body.min()) / np.ptp(body)).astype(np.int16)
    affine = np.diag([2.0, 2, 2, 1])
    moved = affine.copy()
    moved[:3, 3] = (6, -4, 5)
    for name, where in (("one", affine), ("two", moved)):
        nib.save(nib.Nifti1Image(body, where), tmp_path / f"{name}.nii.gz")
    ball_bench.controller.close()
    ball_bench.open(tmp_path / "one.nii.gz")
    first = ball_bench.controller.work
    ball_bench.open(tmp_path / "two.nii.gz")
    second = ball_bench.controller.work
    second.other.choose(first)
    ball_bench.controller.do("lay_on")
    ball_bench.settle(120)
    assert second.other.place_there((20, 20, 20)) == pytest.approx((20, 20, 20), abs=0.6)
