"""The two other planes: linked with the canvas, and prompts taken in each."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_sam2.plugin.widgets.planes_box import PlanesBox
from tests.plugin.ball_window import CENTRE
from tests.plugin.driving import LEFT, NO_KEY, RIGHT, SHIFT, QTest, press, pump, wait_for


def _planes(window):
    press(window.viewer, Qt.Key.Key_7)
    pump(0.3)
    return window.viewer.window._qt_window.findChild(PlanesBox)


def _at(view, voxel):
    return view.position_of(np.array(voxel, dtype=float))


def test_prompts_in_another_plane_are_those_of_the_object_and_the_canvas_follows(window):
    box = _planes(window)
    assert [view.axis for view in box.views] == [1, 0]
    coronal = box.views[0]
    assert np.allclose(coronal.voxel_at(_at(coronal, (7, coronal._place[1], 5))), (7, coronal._place[1], 5))
    place = (int(CENTRE[0]), coronal._place[1], int(CENTRE[2]) + 2)
    QTest.mouseClick(coronal, LEFT, NO_KEY, _at(coronal, place).toPoint())
    wait_for(lambda: window.object().prompts)
    assert np.allclose(window.object().prompts[0].voxel, place, atol=0.6)
    assert window.controller.work.view.slice()[0] == 2
    assert abs(window.controller.work.view.slice()[1] - place[2]) <= 1
    outside = (2, coronal._place[1], place[2])
    QTest.mouseClick(coronal, RIGHT, NO_KEY, _at(coronal, outside).toPoint())
    wait_for(lambda: len(window.object().prompts) == 2)
    assert not window.object().prompts[1].positive


def test_a_box_on_a_second_plane_makes_a_box_in_3d_through_the_middle_of_the_first(window):
    window.draw_box()
    box = _planes(window)
    coronal = box.views[0]
    assert abs(coronal._place[1] - CENTRE[1]) <= 1
    first, last = _at(coronal, CENTRE - (9, 0, 5)), _at(coronal, CENTRE + (9, 0, 5))
    QTest.mousePress(coronal, LEFT, SHIFT, first.toPoint())
    move = QMouseEvent(
        QEvent.Type.MouseMove, last, QPointF(coronal.mapToGlobal(last.toPoint())), Qt.MouseButton.NoButton, LEFT, SHIFT
    )
    QApplication.sendEvent(coronal, move)
    QTest.mouseRelease(coronal, LEFT, SHIFT, last.toPoint())
    wait_for(lambda: len(window.object().prompts) == 2)
    assert [prompt.fixed_axes for prompt in window.object().prompts] == [(2,), (1,)]
    press(window.viewer, Qt.Key.Key_G)
    wait_for(lambda: "Propagated" in window.panel.status.text())
    assert set(window.object().slices) <= set(range(CENTRE[2] - 6, CENTRE[2] + 7))


def test_naparis_lists_are_as_wide_after_the_planes_as_before(window):
    main = window.viewer.window._qt_window
    window.controller.workspace.layer_lists.set(True)
    main.resize(1700, 900)
    pump(0.3)
    lists = window.viewer.window._qt_viewer.dockLayerList
    before = lists.width()
    _planes(window)
    press(window.viewer, Qt.Key.Key_7)
    pump(0.3)
    assert lists.isVisible()
    assert abs(lists.width() - before) <= 2


def test_the_planes_are_drawn_only_while_they_are_seen(window):
    box = _planes(window)
    press(window.viewer, Qt.Key.Key_7)
    assert not box.isVisible()
    before = box.views[0]._picture
    window.controller.work.view.go_to(2, 3)
    pump(0.3)
    assert box.views[0]._picture is before
