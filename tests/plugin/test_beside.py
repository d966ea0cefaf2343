"""What stands beside the picture in a real window: figures that copy, the other scan, and the cross on the canvas."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QApplication

from napari_sam2.plugin.reader import read
from napari_sam2.plugin.widgets.figures_box import FiguresBox
from napari_sam2.plugin.widgets.side_box import SideBox
from tests.plugin.ball_window import CENTRE
from tests.plugin.driving import LEFT, NO_KEY, QTest, press, pump, wait_for


def _cross_at(window):
    """Where the lines on the canvas meet, in voxels of the slice on view."""
    work = window.controller.work
    layer = work.cross_lines.layer
    starts = work.shown.grid.to_voxel(layer.data[:, 0])
    ends = work.shown.grid.to_voxel(layer.data[:, 0] + layer.data[:, 1])
    across_i = np.isclose(starts[:, 0], ends[:, 0])
    return starts[across_i][0][0], starts[~across_i][0][1]


def test_the_cross_on_the_canvas_is_that_of_the_other_planes_and_goes_with_them(window):
    layers = len(window.viewer.layers)
    press(window.viewer, Qt.Key.Key_7)
    pump(0.3)
    assert _cross_at(window) == window.controller.work.cross.place[:2]
    window.controller.work.cross.meet_at((5, 9, 12))
    assert _cross_at(window) == (5, 9)
    before = window.controller.work.cross_lines.layer.data
    window.controller.work.view.go_to(2, 3)
    pump(0.1)
    assert window.controller.work.cross_lines.layer.data is before
    press(window.viewer, Qt.Key.Key_9)
    pump(0.2)
    assert window.controller.work.view.slice()[0] == 1
    ends = window.controller.work.shown.grid.to_voxel(window.controller.work.cross_lines.layer.data[:, 0])
    assert set(np.unique(ends[:, 1])) == set(range(36))
    press(window.viewer, Qt.Key.Key_7)
    assert len(window.viewer.layers) == layers
    assert window.controller.work.cross_lines.layer is None


def test_figures_are_shown_below_copied_and_a_row_goes_to_its_object(window):
    window.draw_box()
    press(window.viewer, Qt.Key.Key_M)
    wait_for(lambda: window.controller.work.figures is not None)
    box = window.viewer.window._qt_window.findChild(FiguresBox)
    wait_for(box.isVisible)
    pump(0.3)
    assert box.table.item(0, 0).text() == "object 1"
    QTest.mouseClick(box.copy, LEFT)
    assert QApplication.clipboard().text() == window.controller.work.figures.text
    assert "copied" in window.panel.status.text()
    window.controller.work.view.go_to(2, 2)
    window.viewer.window._qt_window.resize(900, 700)
    pump(0.2)
    assert box.table.columnWidth(0) >= box.table.sizeHintForColumn(0), "no name is cut in a narrow window"
    at = box.table.visualItemRect(box.table.item(0, 2)).center()
    QTest.mouseClick(box.table.viewport(), LEFT, NO_KEY, at)
    wait_for(lambda: window.controller.work.view.slice() == (2, int(CENTRE[2])))
    QTest.mouseClick(box.hide_it, LEFT)
    pump(0.1)
    assert not box.isVisible()
    assert not any(layer.name == "ball axes" for layer in window.viewer.layers)


@pytest.fixture
def two(window, ball_file):
    """A second scan of the same place, opened on top and chosen."""
    first = window.controller.work
    array, arguments, _ = read(str(ball_file))[0]
    window.viewer.add_image(array, **{**arguments, "name": "later"})
    wait_for(lambda: window.controller.work not in (None, first))
    pump(0.2)
    return first, window.controller.work


def test_the_other_scan_is_seen_at_the_same_place_and_a_click_there_moves_both(window, two):
    first, second = two
    second.view.go_to(2, 7)
    press(window.viewer, Qt.Key.Key_5)
    pump(0.4)
    box = window.viewer.window._qt_window.findChild(SideBox)
    assert box.isVisible()
    assert box.title.text() == "ball: axial slice 7"
    assert box.view._work is first
    at = box.view.position_of(np.array([9.0, 14.0, 7.0]))
    QTest.mouseClick(box.view, LEFT, NO_KEY, QPointF(at).toPoint())
    pump(0.2)
    assert np.allclose(second.cross.place, (9, 14, 7), atol=1)
    assert not first.snapshot.objects
    second.view.go_to(2, 15)
    wait_for(lambda: box.title.text() == "ball: axial slice 15")
    press(window.viewer, Qt.Key.Key_5)
    assert not box.isVisible()


def test_a_double_click_goes_over_to_the_other_scan_at_that_place(window, two):
    first, second = two
    press(window.viewer, Qt.Key.Key_5)
    pump(0.4)
    box = window.viewer.window._qt_window.findChild(SideBox)
    second.view.go_to(2, 7)
    wait_for(lambda: box.title.text() == "ball: axial slice 7")
    at = QPointF(box.view.position_of(np.array([9.0, 14.0, 7.0]))).toPoint()
    QTest.mouseClick(box.view, LEFT, NO_KEY, at)
    QTest.mouseDClick(box.view, LEFT, NO_KEY, at)
    wait_for(lambda: window.controller.work is first)
    assert np.allclose(first.cross.place, (9, 14, 7), atol=1)
    assert first.view.slice() == (2, 7)


def test_the_page_names_the_other_scan_and_offers_nothing_without_one(window):
    compare = window.panel.scans.compare
    compare.expand(animate=False)
    pump(0.2)
    assert not compare.scans.isEnabled()
    assert "No other scan" in compare.scans.currentText()


def test_with_two_scans_the_page_offers_the_other_one(window, two):
    compare = window.panel.scans.compare
    compare.expand(animate=False)
    wait_for(compare.scans.isEnabled)
    assert compare.scans.currentText() == "ball"
    assert compare.carry.isEnabled()
