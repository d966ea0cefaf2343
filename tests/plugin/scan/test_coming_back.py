"""The second day: saved labels and earlier sessions opened again, and worked on."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from napari_sam2.io import read_volume
from napari_sam2.io.export import export_labels
from napari_sam2.plugin.control.earlier import earlier_works, open_earlier, session_in
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
