"""Two images in one viewer: what is pointed at, what is seen, and who it belongs to."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.plugin.reader import read
from tests.plugin.conftest import BALL_AFFINE, BALL_CENTRE, ball_voxels

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


def added(bench, path):
    """Open a file as napari does: on top, and selected."""
    array, arguments, _ = read(str(path))[0]
    layer = bench.viewer.add_image(array, **arguments)
    bench.settle()
    return layer


@pytest.fixture
def panel_bench(bench, ball_file):
    bench.controller.panel_shown()
    bench.settle()
    added(bench, ball_file)
    return bench


@pytest.fixture
def other_file(tmp_path):
    """The ball stored with its axes in another order: slices along the first axis."""
    path = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(ball_voxels().transpose(2, 1, 0), BALL_AFFINE[:, [2, 1, 0, 3]]), path)
    return path


def test_the_panel_follows_the_image_that_is_selected(panel_bench, ball_file):
    first = panel_bench.controller.work
    second = added(panel_bench, ball_file)
    assert panel_bench.controller.work.image is second
    panel_bench.click(CENTRE)
    assert panel_bench.controller.work.object(1).prompts
    assert not first.snapshot.objects
    panel_bench.viewer.layers.selection.active = first.image
    assert panel_bench.controller.work is first
    panel_bench.viewer.layers.selection.active = panel_bench.controller.workspace.works[second].result.layer
    assert panel_bench.controller.work.image is second


def test_a_layer_of_ones_own_leaves_the_panel_where_it_is(panel_bench):
    work = panel_bench.controller.work
    panel_bench.viewer.layers.selection.active = panel_bench.viewer.add_points(ndim=3)
    assert panel_bench.controller.work is work


def test_a_click_on_what_covers_the_panels_image_changes_nothing_and_says_so(ball_bench, ball_file):
    work = ball_bench.controller.work
    cover = added(ball_bench, ball_file)
    cover.name = "cover"
    ball_bench.click(CENTRE)
    ball_bench.box(LOW, HIGH)
    assert not work.snapshot.objects
    assert "cover covers ball here" in ball_bench.controller.workspace.status
    cover.visible = False
    ball_bench.click(CENTRE)
    assert work.object(1).prompts


@pytest.mark.parametrize("seen", [{"opacity": 0.5}, {"blending": "additive"}, {"translate": (0, 500, 0)}])
def test_an_overlay_and_an_image_beside_it_cover_nothing(ball_bench, ball_file, seen):
    cover = added(ball_bench, ball_file)
    for name, value in seen.items():
        setattr(cover, name, value)
    ball_bench.click(CENTRE)
    assert ball_bench.controller.work.object(1).prompts


def test_a_hidden_image_gets_no_clicks(ball_bench):
    ball_bench.controller.work.image.visible = False
    ball_bench.click(CENTRE)
    assert not ball_bench.controller.work.snapshot.objects
    assert "hidden" in ball_bench.controller.workspace.status


def test_a_click_beyond_the_last_slice_of_a_shorter_scan_is_no_click_on_it(ball_bench):
    work = ball_bench.controller.work
    ball_bench.viewer.add_labels(np.zeros((60, 36, 40), np.uint8), scale=work.image.scale, units=work.image.units)
    ball_bench.viewer.dims.set_point(0, 80.0)
    ball_bench.controller.pointer.click_at((80.0, 20.0, 18.0), positive=True)
    ball_bench.settle()
    assert not work.snapshot.objects


def test_each_scan_is_upright_whatever_order_its_axes_are_stored_in(panel_bench, other_file):
    first = panel_bench.controller.work
    second = added(panel_bench, other_file)
    work = panel_bench.controller.work
    assert work.image is second
    plane = work.shown.volume.plane(work.view.axis())
    assert work.shown.volume.plane_name(plane.axis) == "axial"
    ndim = panel_bench.viewer.dims.ndim
    assert panel_bench.viewer.dims.order[-2:] == tuple(
        work.shown.grid.voxel_axis_to_viewer(axis, ndim) for axis in (plane.row_axis, plane.col_axis)
    )
    panel_bench.viewer.layers.selection.active = first.image
    plane = first.shown.volume.plane(first.view.axis())
    assert first.shown.volume.plane_name(plane.axis) == "axial"
    assert panel_bench.viewer.dims.order[-2:] == tuple(
        first.shown.grid.voxel_axis_to_viewer(axis, ndim) for axis in (plane.row_axis, plane.col_axis)
    )


def test_a_scan_of_the_same_layout_does_not_move_the_view(panel_bench, ball_file):
    panel_bench.viewer.scene.camera.zoom = 7.5
    added(panel_bench, ball_file)
    assert panel_bench.viewer.scene.camera.zoom == 7.5


def test_an_exclusion_on_another_object_alone_asks_nothing_of_the_current_one(ball_bench):
    work = ball_bench.controller.work
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("next_object")
    ball_bench.box((2, 2, 12), (7, 7, 12))
    before = work.object(2).prompts
    ball_bench.click(CENTRE, positive=False)
    assert work.object(2).prompts == before
    assert "This is object 1; the current object is object 2." in ball_bench.controller.workspace.status
    work.select(1)
    ball_bench.click(CENTRE, positive=False)
    assert len(work.object(1).prompts) == 2


def test_the_review_says_when_it_goes_to_another_object(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    ball_bench.controller.do("next_object")
    ball_bench.controller.do("next_doubt")
    assert ball_bench.controller.workspace.status.startswith("Now object 1, slice ")
    ball_bench.controller.do("next_doubt")
    assert ball_bench.controller.workspace.status.startswith("object 1, slice ")
