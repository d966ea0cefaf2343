"""Figures of a scan's objects in the window, against the library's own measurements."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from napari_sam2.measures.measure import measure
from napari_sam2.plugin.scan.figures import shown_number
from napari_sam2.terms.terminology import Term
from tests.plugin.conftest import BALL_CENTRE, BALL_RADIUS_MM

CENTRE = BALL_CENTRE.astype(int)


@pytest.fixture
def measured(ball_bench):
    ball_bench.box(CENTRE - (9, 9, 0), CENTRE + (9, 9, 0))
    ball_bench.controller.work.describe(1, Term("=ball"))
    ball_bench.controller.do("propagate_both")
    ball_bench.settle()
    ball_bench.controller.do("measure_objects")
    ball_bench.settle()
    return ball_bench


def test_the_table_copies_to_a_spreadsheet_with_units_and_without_formulas(measured):
    work = measured.controller.work
    (wanted,) = measure(measured.labels(), work.shown.volume)
    header, row = csv.reader(io.StringIO(work.figures.text), delimiter="\t")
    assert header == ["Object", "Id", "Volume (mL)", "Long axis (mm)", "Short axis (mm)", "Mean", "SD", "Slice"]
    assert row[:2] == ["'=ball", "1"]
    figures = [wanted.volume_ml, wanted.long_axis_mm, wanted.short_axis_mm, wanted.intensity.mean, wanted.intensity.sd]
    assert [float(cell) for cell in row[2:7]] == pytest.approx(figures, rel=1e-5)
    assert measured.controller.workspace.figures.on


def test_both_axes_are_drawn_with_their_lengths_where_they_lie(measured):
    work = measured.controller.work
    layer = work.measuring.layer
    (found,) = work.measuring.measurements
    assert layer.name == "ball axes"
    ends = work.shown.grid.to_voxel(np.concatenate(layer.data)).reshape(2, 2, 3)
    spacing = np.array(work.shown.volume.spacing)
    lengths = np.linalg.norm((ends[:, 1] - ends[:, 0]) * spacing, axis=1)
    assert lengths == pytest.approx([found.long_axis_mm, found.short_axis_mm])
    assert lengths == pytest.approx([2 * BALL_RADIUS_MM] * 2, rel=0.15)
    assert set(ends[..., 2].ravel()) == {found.axis_slice}
    # At right angles, and through the ball.
    assert np.dot(*((ends[:, 1] - ends[:, 0]) * spacing / lengths[:, None])) == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm((ends.mean(axis=(0, 1)) - BALL_CENTRE) * spacing) < 4
    assert list(layer.features["length"]) == [f"{lengths[0]:.1f} x {lengths[1]:.1f} mm", ""]
    # Near the middle and a little down the picture, where no border cuts it.
    assert str(layer.text.anchor) == "center"
    down = work.shown.grid.to_voxel([ends.mean(axis=(0, 1)) * 0 + layer.text.translation, [0.0, 0.0, 0.0]])
    rows = work.shown.volume.plane(2).to_plane(down)[:, 0]
    assert 0 < rows[0] - rows[1] < 3


def test_the_key_again_hides_figures_and_axes_and_after_a_change_it_measures_anew(measured):
    work, viewer = measured.controller.work, measured.viewer
    measured.controller.do("measure_objects")
    assert not measured.controller.workspace.figures.on
    assert not any(layer.name == "ball axes" for layer in viewer.layers)
    measured.controller.do("measure_objects")
    measured.settle()
    before = work.figures.rows[0][2]
    measured.click(CENTRE + (0, 0, 3), positive=False)
    assert not work.figures_are_fresh
    measured.controller.do("measure_objects")
    measured.settle()
    assert measured.controller.workspace.figures.on
    assert work.figures.rows[0][2] < before
    assert sum(layer.name == "ball axes" for layer in viewer.layers) == 1


def test_an_empty_scan_is_told(ball_bench):
    ball_bench.controller.do("measure_objects")
    assert "nothing to measure" in ball_bench.controller.workspace.status
    assert not ball_bench.controller.workspace.figures.on


def test_an_undone_scan_leaves_no_axes_behind_when_its_work_ends(measured):
    measured.viewer.layers.remove(measured.controller.work.result.layer)
    measured.settle()
    assert not any(layer.name == "ball axes" for layer in measured.viewer.layers)


@pytest.mark.parametrize(
    ("cell", "text"),
    [(float("nan"), "–"), (0.123456, "0.12"), (12.345, "12.3"), (1234.5, "1234"), (3, "3"), ("a", "a")],
)
def test_numbers_are_short_for_the_eye(cell, text):
    assert shown_number(cell) == text
