"""The second day: saved labels and earlier sessions opened again, and worked on."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from napari_sam2.io import read_labels, read_volume
from napari_sam2.io.export import export_labels
from napari_sam2.plugin.control.earlier import earlier_works, open_earlier, session_in
from napari_sam2.record.journal_files import EVENTS
from napari_sam2.terms.terminology import Code, Term
from tests.plugin.conftest import BALL_AFFINE, BALL_CENTRE, BALL_SHAPE, Bench, ball_truth

CENTRE = BALL_CENTRE.astype(int)
BALL = Term("ball of fat", Code("55603005", "Adipose tissue", "tissue"), (10, 200, 30))


@pytest.fixture
def saved(ball_bench, ball_file):
    """Day one: the ball segmented, named, saved as NIfTI with sidecars; the window is closed."""
    ball_bench.box(CENTRE - (9, 9, 0), CENTRE + (9, 9, 0))
    ball_bench.controller.work.describe(1, BALL)
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    path = ball_file.with_name("ball_labels.nii.gz")
    ball_bench.controller.work.save(path)
    ball_bench.settle()
    labels = ball_bench.labels().copy()
    ball_bench.controller.close()
    ball_bench.settle()
    return path, labels


@pytest.fixture
def next_day(saved, ball_file):
    made = Bench()
    made.open(ball_file)
    yield made
    made.controller.close()
    made.thread.shutdown()


def _opened(bench, path):
    bench.controller.open_labels(path)
    bench.settle()
    return bench.controller.work


@pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd", " alone.nii.gz"])
def test_saved_labels_open_as_objects_that_are_corrected_and_undone(next_day, saved, ball_file, ending):
    path, labels = saved
    if ending == ".seg.nrrd":
        path = ball_file.with_name("ball.seg.nrrd")
        export_labels(saved[0], ball_file, path)
    elif ending.startswith(" "):
        path = shutil.copy(path, ball_file.with_name("alone.nii.gz"))
    work = _opened(next_day, ball_file.with_name(path.name))
    assert np.array_equal(next_day.labels(), labels)
    if ending != " alone.nii.gz":
        assert (work.object(1).name, work.object(1).colour) == ("ball of fat", (10, 200, 30))
        assert work.object(1).code.value == "55603005"
    next_day.click(CENTRE + (0, 0, 3), positive=False)
    assert not np.array_equal(next_day.labels(), labels)
    for _ in range(2):
        next_day.controller.do("undo")
        next_day.settle()
    assert not next_day.labels().any()


def test_the_label_table_of_a_nifti_extension_gives_names_and_colours(next_day, ball_file):
    """As TotalSegmentator writes its results."""
    image = nib.Nifti1Image(ball_truth().astype(np.uint8) * 5, BALL_AFFINE)
    table = b'<CaretExtension><Label Key="5" Red="0.5" Green="0" Blue="1">liver</Label></CaretExtension>'
    image.header.extensions.append(Nifti1Extension(0, table))
    path = ball_file.with_name("total.nii.gz")
    nib.save(image, path)
    work = _opened(next_day, path)
    assert (work.object(5).name, work.object(5).colour) == ("liver", (128, 0, 255))
    assert work.object(5).code.value == "10200004"


def test_a_hundred_labels_open_at_once(next_day, ball_file):
    labels = np.zeros(BALL_SHAPE, dtype=np.uint8)
    for number in range(104):
        at = np.unravel_index(number * 331, BALL_SHAPE)
        labels[tuple(slice(a, a + 2) for a in at)] = number + 1
    path = ball_file.with_name("many.nii.gz")
    nib.save(nib.Nifti1Image(labels, BALL_AFFINE), path)
    work = _opened(next_day, path)
    assert len(work.snapshot.objects) == len(np.unique(labels)) - 1 > 95
    assert np.array_equal(next_day.labels(), labels)


def test_of_a_hundred_labels_one_is_corrected_and_the_others_stay_voxel_by_voxel(next_day, ball_file):
    """As a TotalSegmentator result is worked on: everything opens, one organ is wrong."""
    labels = np.zeros(BALL_SHAPE, dtype=np.uint8)
    for number in range(104):
        at = np.unravel_index(number * 331, BALL_SHAPE)
        labels[tuple(slice(a, a + 2) for a in at)] = number + 1
    grown = ball_truth()
    grown[:, :, : CENTRE[2] - 3] |= ball_truth()[:, :, CENTRE[2] - 3 : CENTRE[2] - 2]
    labels[grown] = 5
    path = ball_file.with_name("total.nii.gz")
    nib.save(nib.Nifti1Image(labels, BALL_AFFINE), path)
    work = _opened(next_day, path)
    work.select(5)
    next_day.click((CENTRE[0], CENTRE[1], 2), positive=False)
    others = labels != 5
    assert np.array_equal(next_day.labels()[others], labels[others])
    after = next_day.labels() == 5
    assert not after[CENTRE[0], CENTRE[1], 2]
    assert after[tuple(CENTRE)]
    next_day.controller.do("undo")
    next_day.settle()
    assert np.array_equal(next_day.labels(), labels)


@pytest.fixture
def dicom_day(tmp_path):
    """A bench on a DICOM series, with two named structures saved as DICOM SEG."""
    from napari_sam2.io.dicom_seg import write_dicom_seg
    from napari_sam2.terms.structures import structures_for
    from tests.io.dicom_maker import make_series

    make_series(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct")
    labels = np.zeros(volume.shape, dtype=np.uint8)
    labels[2:9, 3:12, 1:4] = 1
    labels[10:14, 3:12, 2:6] = 2
    names = {1: "liver", 2: "left kidney"}
    write_dicom_seg(labels, volume, tmp_path / "seg.dcm", structures_for(names, names), model={})
    bench = Bench()
    bench.open(tmp_path / "ct")
    yield bench, labels, tmp_path
    bench.controller.close()
    bench.thread.shutdown()


def test_a_dicom_seg_opens_as_objects_with_names_codes_and_colours_and_is_saved_again(dicom_day):
    bench, labels, folder = dicom_day
    work = _opened(bench, folder / "seg.dcm")
    assert np.array_equal(bench.labels(), labels)
    assert [work.object(i).name for i in (1, 2)] == ["liver", "left kidney"]
    assert work.object(1).code.value == "10200004"
    bench.click((5, 7, 2), positive=False)
    corrected = bench.labels().copy()
    assert not np.array_equal(corrected, labels)
    work.save(folder / "corrected.dcm")
    bench.settle()
    assert np.array_equal(read_labels(folder / "corrected.dcm", read_volume(folder / "ct")), corrected), bench.warnings
    bench.controller.do("undo")
    bench.settle()
    assert np.array_equal(bench.labels(), labels)


def test_an_ome_zarr_opens_as_objects_that_are_corrected(next_day, saved, ball_file):
    folder = ball_file.with_name("ball.ome.zarr")
    export_labels(saved[0], ball_file, folder)
    work = _opened(next_day, folder)
    assert np.array_equal(next_day.labels(), saved[1])
    assert work.object(1).name == "ball of fat"
    next_day.click(CENTRE + (0, 0, 3), positive=False)
    assert not np.array_equal(next_day.labels(), saved[1])


def test_labels_of_another_grid_are_explained_and_change_nothing(next_day, ball_file):
    path = ball_file.with_name("other.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), dtype=np.uint8), np.eye(4)), path)
    work = _opened(next_day, path)
    assert not work.snapshot.objects
    assert any("other.nii.gz" in warning for warning in next_day.warnings)


def test_a_labels_layer_of_another_plugin_becomes_objects(next_day):
    work = next_day.controller.work
    array = work.shown.grid.shown(ball_truth().astype(np.int32) * 7)
    layer = next_day.viewer.add_labels(array, scale=work.image.scale, units=work.image.units, name="theirs")
    next_day.viewer.layers.selection.active = layer
    next_day.controller.do("use_layer")
    next_day.settle()
    assert np.array_equal(next_day.labels() == 7, ball_truth())
    assert np.allclose(np.array(work.object(7).colour) / 255, layer.get_color(7)[:3], atol=0.01)
    assert not layer.visible
    moved = next_day.viewer.add_labels(array, scale=(1, 1, 1), name="elsewhere")
    next_day.viewer.layers.selection.active = moved
    next_day.controller.do("use_layer")
    next_day.settle()
    assert list(work.snapshot.objects) == [7]


def test_earlier_work_is_listed_with_its_image_and_gone_on_with(saved, ball_file):
    (entry,) = earlier_works()
    assert entry.path == ball_file
    assert entry.picture.stat().st_size > 100
    assert entry.note.n_objects == 1
    bench = Bench()
    try:
        open_earlier(bench.controller, entry, entry.path)
        bench.settle()
        assert np.array_equal(bench.labels(), saved[1])
    finally:
        bench.controller.close()
        bench.thread.shutdown()


def test_a_session_folder_beside_labels_is_opened_and_stays_as_it_is(next_day, saved, ball_file):
    folder = ball_file.with_name("ball_labels.sam2session")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    open_earlier(next_day.controller, session_in(folder), None)
    next_day.settle()
    assert np.array_equal(next_day.labels(), saved[1])
    next_day.click(CENTRE + (0, 0, 3), positive=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_session_of_another_image_is_explained(next_day, saved, ball_file):
    other = ball_file.with_name("ct.nii.gz")
    nib.save(nib.Nifti1Image(np.arange(4**3, dtype=np.int16).reshape(4, 4, 4), np.eye(4)), other)
    (entry,) = earlier_works()
    bench = Bench()
    try:
        open_earlier(bench.controller, entry, other)
        bench.settle()
        assert any("another image" in warning for warning in bench.warnings)
        assert read_volume(other).shape == (4, 4, 4)
    finally:
        bench.controller.close()
        bench.thread.shutdown()


@pytest.mark.parametrize(("name", "kind"), [("out.seg.nrrd", ""), ("out.ome.zarr", ""), ("out_objects", "objects")])
def test_every_format_is_saved_from_the_panel_and_reads_back_voxel_by_voxel(next_day, saved, ball_file, name, kind):
    work = _opened(next_day, saved[0])
    path = ball_file.with_name(name)
    work.save(path, kind=kind)
    next_day.settle()
    assert path.exists(), next_day.warnings
    written = path / "ball_of_fat.nii.gz" if kind else path
    assert np.array_equal(read_labels(written, read_volume(ball_file)) > 0, saved[1] > 0)


def test_bids_and_dicom_seg_are_saved_or_explained(next_day, saved, ball_file):
    work = _opened(next_day, saved[0])
    work.save(ball_file.with_name("out.dcm"))
    next_day.settle()
    assert any("DICOM" in warning for warning in next_day.warnings)
    work.save(ball_file.parent / "derivatives" / "napari-sam2", kind="bids")
    next_day.settle()
    assert any("subject" in warning for warning in next_day.warnings)
    assert not ball_file.with_name("out.dcm").exists()


def test_a_share_that_comes_back_has_everything_before_the_next_action(ball_bench):
    ball_bench.box(CENTRE - (9, 9, 0), CENTRE + (9, 9, 0))
    work = ball_bench.controller.work
    ball_bench.settle()
    folder, gone = work.autosave.folder, work.autosave.folder.with_name("gone")
    failures = []
    work.failed.connect(failures.append)
    folder.rename(gone)
    work.describe(1, BALL)
    ball_bench.settle()
    assert len(failures) == 1
    assert "cannot be written" in failures[0]
    work.catch_up()
    ball_bench.settle()
    assert work.autosave.is_behind
    gone.rename(folder)
    work.catch_up()
    ball_bench.settle()
    assert BALL.name in (folder / EVENTS).read_text()
    assert not work.autosave.is_behind
