"""Another's labels beside one's own: figures, a layer of differences, and a key that goes through them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.measures.metrics import compare_labels
from tests.plugin.conftest import BALL_AFFINE, BALL_CENTRE, BALL_SHAPE, ball_truth

CENTRE = BALL_CENTRE.astype(int)


def _saved(path, labels):
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), BALL_AFFINE), path)
    return path


@pytest.fixture
def ours(ball_bench, ball_file):
    """The ball as object 1, opened from a file, so that it is known voxel by voxel."""
    ball_bench.controller.open_labels(_saved(ball_file.with_name("ours.nii.gz"), ball_truth()))
    ball_bench.settle()
    return ball_bench


@pytest.fixture
def theirs(ball_file):
    """The ball cut off above, with a part elsewhere."""
    labels = ball_truth().astype(np.uint8)
    labels[:, :, CENTRE[2] + 2 :] = 0
    labels[30:32, 4:6, 4:9] = 2
    return _saved(ball_file.with_name("theirs.nii.gz"), labels)


def _compare(bench, path):
    bench.controller.work.comparison.open(path)
    bench.settle()
    return bench.controller.work


def test_figures_are_those_of_the_library_and_the_layer_shows_who_has_what(ours, theirs):
    work = _compare(ours, theirs)
    other = nib.load(theirs).get_fdata().astype(np.uint8)
    wanted = compare_labels(other, ours.labels(), work.shown.volume)
    assert work.figures.headers[:5] == ("Object", "Id", "Dice", "ASSD (mm)", "HD95 (mm)")
    for row in work.figures.rows:
        a = wanted[row[1]]
        figures = [a.dice, a.assd_mm, a.hd95_mm, a.predicted_ml, a.reference_ml]
        assert row[2:7] == pytest.approx(figures, nan_ok=True)
    assert [row[1] for row in work.figures.rows] == [1, 2]
    shown = work.shown.grid.stored(work.comparison.layer.data)
    assert np.array_equal(shown == 1, (ours.labels() > 0) & (other == 0))
    assert np.array_equal(shown == 2, (ours.labels() == 0) & (other > 0))


def test_the_key_goes_from_the_deepest_difference_to_the_next_and_says_whose_it_is(ours, theirs):
    work = _compare(ours, theirs)
    seen = []
    for _ in range(2):
        ours.controller.do("next_difference")
        ours.settle()
        axis, index = work.view.slice()
        seen.append((index, ours.controller.workspace.status))
    (first, said_first), (second, said_second) = seen
    assert axis == 2
    # The cut-off cap is deeper than the little part, which only they have.
    assert first >= CENTRE[2] + 2
    assert said_first.startswith("Object 1 only here")
    assert 4 <= second < 9
    assert said_second.startswith("Object 2 only in theirs.nii.gz")
    ours.controller.do("next_difference")
    assert "No difference is left" in ours.controller.workspace.status


def test_what_was_corrected_is_compared_anew_before_the_key_goes_on(ours, theirs):
    work = _compare(ours, theirs)
    before = work.figures.rows[0][2]
    ours.click(CENTRE + (0, 0, 3), positive=False)
    ours.controller.do("next_difference")
    ours.settle()
    assert work.figures.rows[0][2] != before


def test_their_names_count_and_not_their_numbers(ours, ball_file):
    ours.controller.name_object(1, "liver")
    ours.settle()
    path = ball_file.with_name("theirs.seg.nrrd")
    from napari_sam2.io.export import export_labels

    source = _saved(ball_file.with_name("named.nii.gz"), ball_truth() * 7)
    source.with_name("named.json").write_text("{}")
    table = ball_file.with_name("named.csv")
    table.write_text("index,name\n7,Liver\n")
    export_labels(source, ball_file, path, names={7: "Liver"})
    work = _compare(ours, path)
    (row,) = work.figures.rows
    assert row[:3] == ("liver", 1, 1.0)
    assert not work.comparison.places


def test_labels_of_another_grid_are_explained_and_nothing_is_compared(ours, ball_file):
    path = ball_file.with_name("small.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), path)
    _compare(ours, path)
    assert any("small.nii.gz" in warning for warning in ours.warnings)
    assert ours.controller.work.figures is None
    ours.controller.do("next_difference")
    assert "Choose the labels" in ours.controller.workspace.status


def test_nothing_of_ones_own_changes(ours, theirs):
    before = ours.labels().copy()
    work = _compare(ours, theirs)
    ours.controller.do("next_difference")
    assert np.array_equal(ours.labels(), before)
    assert list(work.snapshot.objects) == [1]
    assert work.snapshot.undo == "opened labels"
    assert before.shape == BALL_SHAPE
