"""The annotator's actions, without Qt: on a ViewerModel, with the real thread and the classical model."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.plugin.control.models import ModelChoice
from napari_sam2.plugin.scan.volumes import METADATA_KEY
from napari_sam2.terms.terminology import Term
from tests.plugin.conftest import BALL_CENTRE, ball_truth, ball_voxels

CENTRE = BALL_CENTRE.astype(int)
LOW, HIGH = CENTRE - (8, 8, 0), CENTRE + (8, 8, 0)


def test_a_box_gives_a_mask_on_its_slice_at_once(ball_bench, dice):
    ball_bench.box(LOW, HIGH)
    k = CENTRE[2]
    assert dice(ball_bench.labels()[:, :, k] == 1, ball_truth()[:, :, k]) > 0.9
    assert not ball_bench.labels()[:, :, k + 1].any()


def test_a_click_gives_a_mask_and_a_right_click_takes_away(ball_bench):
    ball_bench.click(CENTRE)
    before = int((ball_bench.labels() == 1).sum())
    assert before
    ball_bench.click(CENTRE + (6, 0, 0), positive=False)
    assert len(ball_bench.controller.work.object(1).prompts) == 2
    assert list(ball_bench.controller.work.prompts.clicks.features["polarity"]) == ["include", "exclude"]
    assert len({str(s) for s in ball_bench.controller.work.prompts.clicks.symbol}) == 2


def test_propagation_fills_the_volume_and_undo_and_redo_take_it_back_and_forth(ball_bench, dice):
    ball_bench.box(LOW, HIGH)
    alone = ball_bench.labels().copy()
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    carried = ball_bench.labels().copy()
    assert dice(carried == 1, ball_truth()) > 0.85
    ball_bench.controller.do("undo")
    ball_bench.settle()
    assert np.array_equal(ball_bench.labels(), alone)
    ball_bench.controller.do("undo")
    ball_bench.settle()
    assert not ball_bench.labels().any()
    assert len(ball_bench.controller.work.prompts.boxes.data) == 0
    for _ in range(2):
        ball_bench.controller.do("redo")
        ball_bench.settle()
    assert np.array_equal(ball_bench.labels(), carried)
    assert len(ball_bench.controller.work.prompts.boxes.data) == 1


def test_slices_appear_while_the_run_goes_on_and_stop_keeps_them(ball_bench):
    ball_bench.box(LOW, HIGH)
    seen = []
    ball_bench.controller.workspace.progressed.connect(seen.append)
    ball_bench.controller.work.run.start([1])
    while len([p for p in seen if p is not None and p.done]) < 1:
        ball_bench.thread.queue.collect()
    ball_bench.controller.do("stop")
    ball_bench.settle()
    assert seen[-1] is None
    assert not ball_bench.controller.work.run.running
    assert len(ball_bench.controller.work.object(1).slices) > 1
    assert "Stopped" in ball_bench.controller.workspace.status or "Propagated" in ball_bench.controller.workspace.status


def test_the_next_object_gets_its_own_id_and_prompts(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.controller.do("next_object")
    ball_bench.box((2, 2, 3), (9, 9, 3))
    snapshot = ball_bench.controller.work.snapshot
    assert list(snapshot.objects) == [1, 2]
    assert list(ball_bench.controller.work.prompts.boxes.features["object_id"]) == [1, 2]
    assert ball_bench.controller.work.result.layer.selected_label == 2


def test_drawing_a_box_again_replaces_the_one_on_the_slice(ball_bench):
    ball_bench.box(LOW, HIGH)
    ball_bench.box(LOW + (1, 1, 0), HIGH)
    assert len(ball_bench.controller.work.prompts.boxes.data) == 1
    assert len(ball_bench.controller.work.object(1).prompts) == 1


def test_a_tiny_box_and_a_click_outside_do_nothing(ball_bench):
    ball_bench.box(CENTRE, CENTRE + (1, 0, 0))
    pointing = ball_bench.controller.pointer
    pointing.click_at((12.0, -50.0, 10.0), positive=True)
    ball_bench.settle()
    assert not ball_bench.controller.work.snapshot.objects
    assert len(ball_bench.controller.work.prompts.clicks.data) == 0


def test_excluding_first_is_explained_and_taken_back(ball_bench):
    ball_bench.click(CENTRE, positive=False)
    assert "no positive prompt" in ball_bench.warnings[-1]
    assert len(ball_bench.controller.work.prompts.clicks.data) == 0


def test_a_prompt_moved_or_deleted_in_its_layer_is_answered(ball_bench):
    ball_bench.click(CENTRE)
    clicks = ball_bench.controller.work.prompts.clicks
    clicks.add(clicks.data[0] + [0, 1, 1])
    ball_bench.settle()
    assert len(ball_bench.controller.work.object(1).prompts) == 2
    clicks.selected_data = {0, 1}
    clicks.remove_selected()
    ball_bench.settle()
    assert not ball_bench.controller.work.object(1).prompts
    assert not ball_bench.labels().any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_plane_can_be_segmented(ball_bench, axis, dice):
    plane = ball_bench.controller.work.shown.volume.plane_name(axis)
    ball_bench.controller.do(f"show_{plane}")
    low, high = CENTRE - (8, 8, 4), CENTRE + (8, 8, 4)
    low[axis] = high[axis] = CENTRE[axis]
    ball_bench.box(low, high)
    assert ball_bench.controller.work.object(1).axis == axis
    taken = ball_bench.labels().take(CENTRE[axis], axis) == 1
    assert dice(taken, ball_truth().take(CENTRE[axis], axis)) > 0.85


def test_a_lasso_becomes_a_mask_and_a_scribble_becomes_clicks(ball_bench):
    prompts = ball_bench.controller.work.prompts
    grid = ball_bench.controller.work.shown.grid
    corners = [CENTRE + d for d in ((-6, -6, 0), (6, -6, 0), (6, 6, 0), (-6, 6, 0), (-7, 0, 0))]
    prompts.boxes.add_polygons(grid.to_data(corners))
    ball_bench.settle()
    assert len(prompts.boxes.data) == 0
    assert (ball_bench.labels() == 1)[:, :, CENTRE[2]].sum() > 140
    ball_bench.controller.do("next_object")
    prompts.boxes.add_paths(grid.to_data([CENTRE - (4, 0, 0), CENTRE + (4, 0, 0)]))
    ball_bench.settle()
    assert len(prompts.clicks.data) == 5


def test_saving_goes_onto_the_files_own_grid(ball_bench, ball_file, tmp_path):
    ball_bench.box(LOW, HIGH)
    target = tmp_path / "ball_labels.nii.gz"
    ball_bench.controller.work.save(target)
    ball_bench.settle()
    assert "Saved ball_labels.nii.gz with 1 object." in ball_bench.controller.workspace.status
    saved = nib.load(target)
    assert np.array_equal(np.asarray(saved.dataobj), ball_bench.labels())
    assert np.array_equal(saved.affine, nib.load(ball_file).affine)


def test_an_existing_file_is_replaced_only_when_save_is_pressed_twice(ball_bench, tmp_path):
    ball_bench.box(LOW, HIGH)
    target = tmp_path / "precious.nii.gz"
    target.write_bytes(b"precious")
    ball_bench.controller.work.save(target)
    ball_bench.settle()
    assert target.read_bytes() == b"precious"
    assert "again" in ball_bench.controller.workspace.status
    ball_bench.controller.work.save(target)
    ball_bench.settle()
    assert nib.load(target).shape == ball_truth().shape


def test_a_plain_array_asks_for_its_file_before_it_is_saved(bench, ball_file, tmp_path):
    layer = bench.viewer.add_image(ball_voxels().transpose(2, 1, 0), scale=(2, 1, 1))
    bench.controller.use_image(layer)
    bench.settle()
    bench.box(LOW, HIGH)
    asked = []
    bench.controller.work.asked.connect(asked.append)
    bench.controller.work.save(tmp_path / "out.nii.gz")
    bench.settle()
    assert "Choose the image file" in asked[0]
    bench.controller.work.save(tmp_path / "out.nii.gz", reference=ball_file)
    bench.settle()
    assert nib.load(tmp_path / "out.nii.gz").header["sform_code"] == 2


def test_new_layers_lie_on_the_image_and_know_its_units(ball_bench):
    annotation = ball_bench.controller.work
    for layer in annotation.layers:
        assert np.allclose(layer.scale, annotation.image.scale)
        assert layer.units == annotation.image.units
        assert tuple(layer.axis_labels) == tuple(annotation.image.axis_labels)
    assert METADATA_KEY in annotation.result.layer.metadata


def test_clicks_made_while_the_volume_opens_are_not_lost(bench, ball_file):
    from napari_sam2.plugin.reader import read

    array, arguments, _ = read(str(ball_file))[0]
    gate = threading.Event()
    bench.thread.request(gate.wait, lambda _: None, pytest.fail)
    layer = bench.viewer.add_image(array, **arguments)
    bench.viewer.dims.set_point(0, layer.data_to_world((12, 0, 0))[0])
    bench.controller.use_image(layer)
    bench.controller.pointer.click_at(layer.data_to_world((12, 20, 18)), positive=True)
    gate.set()
    bench.settle()
    assert bench.controller.work.object(1).prompts


def test_switching_images_keeps_both_and_answers_go_to_the_right_one(bench, ball_file):
    first = bench.open(ball_file)
    bench.box(LOW, HIGH)
    second = bench.open(ball_file)
    assert not bench.controller.work.snapshot.objects
    bench.controller.use_image(first)
    bench.settle()
    assert bench.controller.work.object(1).prompts
    assert bench.controller.work.image is first
    assert second in bench.viewer.layers


@pytest.mark.parametrize("which", ["image", "result", "clicks"])
def test_removing_a_layer_in_the_middle_of_a_run_is_safe(ball_bench, which):
    ball_bench.box(LOW, HIGH)
    annotation = ball_bench.controller.work
    layer = {"image": annotation.image, "result": annotation.result.layer, "clicks": annotation.prompts.clicks}[which]
    ball_bench.controller.do("propagate_both")
    ball_bench.viewer.layers.remove(layer)
    ball_bench.settle()
    assert not annotation.run.running
    assert ball_bench.controller.work is None
    assert not ball_bench.warnings


def test_a_finished_object_is_not_changed_and_keeps_its_voxels(ball_bench):
    ball_bench.box(LOW, HIGH)
    kept = ball_bench.labels() == 1
    annotation = ball_bench.controller.work
    annotation.finish(1, True)
    ball_bench.settle()
    ball_bench.click(CENTRE + (7, 7, 0))
    assert "finished" in ball_bench.warnings[-1]
    annotation.snapshot.objects[1]
    ball_bench.controller.do("next_object")
    ball_bench.box(LOW, HIGH)
    assert np.array_equal(ball_bench.labels() == 1, kept)


def test_the_key_finishes_the_current_object_and_opens_it_again(ball_bench):
    controller = ball_bench.controller
    controller.do("finish_object")
    assert "nothing to finish" in ball_bench.controller.workspace.status
    ball_bench.box(LOW, HIGH)
    for expected in (True, False):
        controller.do("finish_object")
        ball_bench.settle()
        assert ball_bench.controller.work.object(1).finished is expected


def test_an_object_has_a_name_a_volume_and_can_be_hidden(ball_bench):
    from napari_sam2.plugin.scan.table_rows import object_rows

    ball_bench.box(LOW, HIGH)
    annotation = ball_bench.controller.work
    annotation.describe(1, Term("ball"))
    ball_bench.settle()
    annotation.show_object(1, False)
    row = object_rows(annotation)[0]
    assert row.name == "ball"
    assert row.size == pytest.approx((ball_bench.labels() == 1).sum() * 2 / 1000)
    assert not row.visible
    assert annotation.result.layer.colormap.color_dict[1][3] == 0


def test_a_model_that_is_not_there_is_explained_and_the_work_goes_on(ball_bench):
    ball_bench.controller.use_model(ModelChoice("no-such-model"))
    ball_bench.settle()
    assert "no-such-model" in ball_bench.warnings[-1]
    ball_bench.controller.use_model(ModelChoice("classical"))
    ball_bench.settle()
    ball_bench.box(LOW, HIGH)
    assert ball_bench.labels().any()


def test_a_radiograph_is_segmented_as_a_volume_of_one_slice(bench, tmp_path):
    picture = np.zeros((60, 80, 1), np.uint8)
    picture[20:40, 30:60] = 200
    nib.save(nib.Nifti1Image(picture, np.diag([0.5, 0.5, 1, 1])), tmp_path / "hand.nii")
    layer = bench.open(tmp_path / "hand.nii")
    layer.scale = (1, 1)
    bench.controller.pointer.box_between((18, 28), (41, 61))
    bench.settle()
    assert bench.controller.work.result.layer.data.shape == (60, 80)
    assert (bench.controller.work.result.layer.data[20:40, 30:60] == 1).mean() > 0.9


def test_closing_lets_go_of_the_volume(ball_bench):
    import gc
    import weakref

    ball_bench.box(LOW, HIGH)
    session = weakref.ref(ball_bench.controller.work.stream_session())
    ball_bench.controller.close()
    ball_bench.settle()
    gc.collect()
    assert session() is None


def test_a_points_layer_of_ones_own_is_taken_and_followed(ball_bench):
    annotation = ball_bench.controller.work
    world = [ball_bench.world(CENTRE), ball_bench.world(CENTRE + (7, 8, 0))]
    points = ball_bench.viewer.add_points(
        world, features={"polarity": ["positive", "negative"]}, units=annotation.image.units
    )
    ball_bench.viewer.layers.selection.active = points
    ball_bench.controller.do("use_layer")
    ball_bench.settle()
    assert [p.positive for p in annotation.object(1).prompts] == [True, False]
    assert np.allclose(annotation.object(1).prompts[0].voxel, CENTRE)
    points.add(ball_bench.world(CENTRE + (2, 0, 0)))
    ball_bench.settle()
    assert len(annotation.object(1).prompts) == 3
    points.selected_data = {1}
    points.remove_selected()
    ball_bench.settle()
    assert len(annotation.object(1).prompts) == 2
    assert len(points.data) == 2


def test_a_shapes_layer_of_ones_own_gives_boxes_and_masks_to_its_objects(ball_bench):
    annotation = ball_bench.controller.work
    to_data = annotation.shown.grid.to_data
    low, high = LOW, HIGH
    corners = to_data([low, (high[0], low[1], low[2]), high, (low[0], high[1], low[2])])
    triangle = to_data([low + (0, 0, 3), (high[0], low[1], low[2] + 3), high + (0, 0, 3)])
    shapes = ball_bench.viewer.add_shapes(
        [corners, triangle],
        shape_type=["rectangle", "polygon"],
        features={"object_id": [3, 4]},
        scale=annotation.image.scale,
        units=annotation.image.units,
    )
    ball_bench.viewer.layers.selection.active = shapes
    ball_bench.controller.do("use_layer")
    ball_bench.settle()
    assert annotation.object(3).prompts[0].low == tuple(low)
    assert annotation.object(4).n_voxels > 80


def test_a_layer_that_cannot_be_used_is_explained(ball_bench):
    layer = ball_bench.viewer.add_points([[1, 2]], units=("mm", "mm"), axis_labels=("j", "i"))
    ball_bench.viewer.layers.selection.active = layer
    ball_bench.controller.do("use_layer")
    assert "2 axes" in ball_bench.controller.workspace.status
    ball_bench.viewer.layers.selection.active = ball_bench.controller.work.image
    ball_bench.controller.do("use_layer")
    assert "neither a Points nor a Shapes" in ball_bench.controller.workspace.status
