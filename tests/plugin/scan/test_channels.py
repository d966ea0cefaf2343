from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.channels.opening import channel_files, volumes_of
from napari_sam2.channels.stack import place_channel
from napari_sam2.core.prompts import Point
from napari_sam2.core.window import Window
from napari_sam2.plugin.reader import read
from napari_sam2.plugin.scan.channel_layers import ChannelToOpen
from napari_sam2.plugin.scan.checkerboard import checkerboard
from tests.plugin.conftest import BALL_AFFINE, Bench, ball_voxels


def opened(bench, path):
    """A file of the test as another image layer, as it is dropped into the window."""
    array, arguments, _ = read(str(path))[0]
    return bench.viewer.add_image(array, **arguments)


@pytest.fixture
def other_file(tmp_path):
    """The ball, dark, on the same grid."""
    path = tmp_path / "dark.nii.gz"
    image = nib.Nifti1Image((600 - ball_voxels()).astype(np.int16), BALL_AFFINE)
    nib.save(image, path)
    return path


@pytest.fixture
def coarse_file(tmp_path):
    """The same on another grid: each other voxel in the plane."""
    path = tmp_path / "coarse.nii.gz"
    nib.save(nib.Nifti1Image(ball_voxels()[::2, ::2].astype(np.int16), BALL_AFFINE @ np.diag([2, 2, 1, 1])), path)
    return path


def names(work):
    return [row.name for row in work.channels.rows()]


def test_the_3d_view_shows_no_channel_and_what_was_seen_comes_back(ball_bench, other_file, coarse_file):
    work, viewer = ball_bench.controller.work, ball_bench.viewer
    for file in (other_file, coarse_file):
        work.channels.add_layer(opened(ball_bench, file))
        ball_bench.settle()
    dark, coarse = (work.channels.rows()[number].layer for number in (1, 2))
    work.channels.layers.set_seen(names(work)[1], on=True)
    coarse.visible = False
    work.view.go_to(2, 7)
    work.in_3d.toggle()
    viewer.dims.set_current_step(0, 2)  # napari moves it when the view is reset
    work.in_3d.toggle()
    assert work.view.slice() == (2, 7)
    for back in (work.in_3d.toggle, lambda: setattr(viewer.dims, "ndisplay", 2), lambda: work.view.turn_to("coronal")):
        work.in_3d.toggle()
        assert viewer.dims.ndisplay == 3
        assert [layer.visible for layer in (work.image, dark, coarse)] == [False, False, False]
        back()
        assert viewer.dims.ndisplay == 2
        assert [layer.visible for layer in (work.image, dark, coarse)] == [True, True, False]


def test_a_layer_of_another_plugin_becomes_a_channel_and_is_seen_when_chosen(ball_bench):
    work = ball_bench.controller.work
    image = work.image
    assert work.channels.ways_to_see() == []
    other = image.data.max() - np.asarray(image.data)
    layer = ball_bench.viewer.add_image(other, name="other stain", affine=image.affine, scale=image.scale)
    assert work.channels.offered() == [layer]
    work.channels.add_layer(layer)
    ball_bench.settle()
    assert ball_bench.warnings == []
    assert names(work) == ["ball", "other-stain"]
    assert work.channels.rows()[1].layer is layer
    work.channels.use(0, on=False)
    ball_bench.settle()
    work.ask(lambda session: session.add_prompt(1, Point((20, 18, 12))))
    ball_bench.settle()
    assert ball_bench.warnings == []
    assert work.channels.said_image() == "The model sees other-stain."
    work.channels.use(0, on=True)
    ball_bench.settle()
    assert work.snapshot.objects[work.current].mix.kind == "fused"
    assert [row.used for row in work.channels.rows()] == [True, True]


def test_the_last_channel_in_use_stays(ball_bench, other_file):
    work = ball_bench.controller.work
    work.channels.add_layer(opened(ball_bench, other_file))
    ball_bench.settle()
    work.channels.use(1, on=False)
    ball_bench.settle()
    work.channels.use(0, on=False)
    ball_bench.settle()
    assert [row.used for row in work.channels.rows()] == [True, False]
    assert "one channel at least" in ball_bench.controller.workspace.status


def test_a_channel_on_another_grid_is_shown_lying_on_the_scan_and_clicked_through(ball_bench, coarse_file):
    work = ball_bench.controller.work
    layer = opened(ball_bench, coarse_file)
    work.channels.add_layer(layer)
    ball_bench.settle()
    shown = work.channels.rows()[1].layer
    assert shown is not layer
    assert not layer.visible
    assert shown.data.shape == work.image.data.shape
    laid = work.snapshot.channels.further[0].laid.voxels
    assert np.array_equal(work.shown.grid.stored(shown.data), laid, equal_nan=True)
    work.channels.set_seen(work.channels.rows()[0], on=False)
    work.channels.set_seen(work.channels.rows()[1], on=True)
    # What is selected there belongs to the scan, and is pointed at through it; a panel follows the selection.
    ball_bench.controller.panel_shown()
    ball_bench.viewer.layers.selection.active = shown
    assert ball_bench.controller.workspace.image is work.image
    ball_bench.click((18, 20, 12))
    assert work.snapshot.objects[1].n_voxels > 0


def test_the_window_of_a_channel_is_that_of_its_layer(ball_bench, other_file):
    work = ball_bench.controller.work
    layer = opened(ball_bench, other_file)
    work.channels.add_layer(layer)
    ball_bench.settle()
    layer.contrast_limits = (300, 500)
    work.channels.follow_window(work.channels.rows()[1])
    ball_bench.settle()
    assert work.snapshot.channels.further[0].window == Window(300, 500, "level/width")


def test_a_deleted_layer_of_a_channel_closes_nothing_and_comes_back(ball_bench, other_file):
    work = ball_bench.controller.work
    work.channels.add_layer(opened(ball_bench, other_file))
    ball_bench.settle()
    ball_bench.viewer.layers.remove(work.channels.rows()[1].layer)
    assert ball_bench.controller.work is work
    row = work.channels.rows()[1]
    assert row.layer is None
    work.channels.set_seen(row, on=True)
    assert work.channels.rows()[1].layer.visible


@pytest.fixture
def moved_file(tmp_path):
    """The ball inverted and moved by 6 mm, on its own grid."""
    path = tmp_path / "moved.nii.gz"
    affine = BALL_AFFINE.copy()
    affine[:3, 3] += (6, 0, 0)
    rng = np.random.default_rng(1)
    bumps = ndimage.gaussian_filter(rng.normal(0, 1, ball_voxels().shape), (3, 3, 2))
    nib.save(nib.Nifti1Image((600 - ball_voxels() + 200 * bumps).astype(np.int16), affine), path)
    return path


@pytest.mark.parametrize("accepted", [True, False])
def test_a_registered_channel_waits_as_a_checkerboard(ball_bench, moved_file, accepted, monkeypatch):
    # The search itself is shown elsewhere; here it is known how far the scan was moved.
    found = np.eye(4)
    found[0, 3] = 6
    monkeypatch.setattr("napari_sam2.channels.opening.rigid_transform", lambda *given: found)
    work = ball_bench.controller.work
    layer = opened(ball_bench, moved_file)
    # With a panel, what is selected in the list of layers is worked on.
    ball_bench.controller.panel_shown()
    ball_bench.viewer.layers.selection.active = work.image
    work.channels.add_layer(layer, register=True)
    ball_bench.settle()
    assert ball_bench.warnings == []
    assert names(work) == []
    assert "6.0 mm" in work.channels.question
    (board,) = [one for one in ball_bench.viewer.layers if "squares" in one.name]
    assert board.visible
    assert board not in work.channels.offered()
    (work.channels.accept if accepted else work.channels.refuse)()
    ball_bench.settle()
    assert board not in ball_bench.viewer.layers
    assert work.channels.proposed is None
    assert names(work) == (["ball", "moved"] if accepted else [])
    if accepted:
        assert np.allclose(work.snapshot.channels.further[0].transform, found)


def test_a_checkerboard_shows_both_in_turns(ball_bench):
    volume = ball_bench.controller.work.shown.volume
    dark = place_channel(volume, volume, "dark", window=Window(10000, 20000, "level/width"))
    board = checkerboard(volume, Window(-20000, -10000, "level/width"), dark)
    # The scan is white through its window, the channel black: what is left is the pattern.
    assert set(np.unique(board)) == {0, 255}
    side = 48 / 8
    assert (board[:6, 0, 0] == 255).all()
    assert board[int(side), 0, 0] == 0
    assert board[int(side), int(side), 0] == 255
    assert board[0, 0, 3] == 0


def test_files_given_with_the_scan_are_channels_once_it_is_open(bench, ball_file, other_file, coarse_file):
    array, arguments, _ = read(str(ball_file))[0]
    image = bench.viewer.add_image(array, **arguments)
    bench.controller.use_image(image)
    given = [
        ChannelToOpen(name, volume, index)
        for file in channel_files([f"T2={other_file}", str(coarse_file)])
        for name, volume, index in volumes_of(file, None)
    ]
    given[1] = ChannelToOpen("coarse", given[1].volume, given[1].index)
    bench.controller.open_channels(given)
    bench.settle()
    work = bench.controller.work
    assert names(work) == ["ball", "T2", "coarse"]
    assert [row.layer.visible for row in work.channels.rows()] == [True, False, False]


def gone_on_with(sessions, path, bench):
    """The first session on a scan, resumed in another window."""
    bench.open(path)
    bench.controller.work.resume()
    bench.settle()
    return bench.controller.work


@pytest.fixture
def again():
    """A second window."""
    made = Bench()
    yield made
    made.controller.close()
    made.thread.shutdown()


def worked(bench, ball_file, other_file, coarse_file):
    bench.open(ball_file)
    work = bench.controller.work
    for file in (other_file, coarse_file):
        work.channels.add_layer(opened(bench, file))
        bench.settle()
    work.channels.see("dark")
    bench.settle()
    bench.click((18, 20, 12))
    labels = bench.labels().copy()
    bench.controller.close()
    bench.settle()
    return labels


def test_a_session_with_channels_is_resumed_from_the_files_where_they_were(
    bench, again, ball_file, other_file, coarse_file, sessions_folder
):
    labels = worked(bench, ball_file, other_file, coarse_file)
    work = gone_on_with(sessions_folder, ball_file, again)
    assert again.warnings == []
    assert names(work) == ["ball", "dark", "coarse"]
    assert all(row.layer is not None for row in work.channels.rows())
    assert np.array_equal(again.labels(), labels)
    assert work.channels.said_image() == "The model sees dark."
    again.click((18, 20, 13))
    assert again.warnings == []


@pytest.mark.parametrize("what", ["gone", "changed"])
def test_a_channel_that_is_gone_or_changed_is_told_and_resumed_once_it_is_open(
    bench, again, ball_file, other_file, coarse_file, sessions_folder, tmp_path, what
):
    labels = worked(bench, ball_file, other_file, coarse_file)
    kept = tmp_path / "elsewhere.nii.gz"
    kept.write_bytes(other_file.read_bytes())
    other_file.unlink()
    if what == "changed":
        nib.save(nib.Nifti1Image(ball_voxels() * 2, BALL_AFFINE), other_file)
    work = gone_on_with(sessions_folder, ball_file, again)
    (warning,) = again.warnings
    assert "a channel dark" in warning
    assert ("has changed since" if what == "changed" else "is not where it was") in warning
    assert "nothing is lost" in warning
    assert names(work) == []
    assert work.earlier is not None
    opened(again, kept)
    again.controller.use_image(work.image)
    work.resume()
    again.settle()
    assert names(work) == ["ball", "dark", "coarse"]
    assert np.array_equal(again.labels(), labels)


def test_channels_of_another_session_do_not_stay_when_one_without_is_resumed(
    bench, again, ball_file, other_file, sessions_folder
):
    bench.open(ball_file)
    bench.click((18, 20, 12))
    bench.controller.close()
    bench.settle()
    again.open(ball_file)
    work = again.controller.work
    work.channels.add_layer(opened(again, other_file))
    again.settle()
    work.resume()
    again.settle()
    assert again.warnings == []
    assert names(work) == []
    assert len(work.snapshot.channels) == 1


def test_a_channel_file_that_changed_while_one_worked_is_told_when_saving(ball_bench, other_file, tmp_path):
    work = ball_bench.controller.work
    work.channels.add_layer(opened(ball_bench, other_file))
    ball_bench.settle()
    ball_bench.click((18, 20, 12))
    nib.save(nib.Nifti1Image(ball_voxels() * 2, BALL_AFFINE), other_file)
    work.save(tmp_path / "labels.nii.gz")
    ball_bench.settle()
    assert "dark has changed on disk" in ball_bench.controller.workspace.status
