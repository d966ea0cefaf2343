"""Hands on a slide in a real napari window: number keys, rows, strokes, clicks one by one, a choice of masks."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam2.slides.objects import SlideObject
from tests.plugin.driving import CONTROL, LEFT, NO_KEY, RIGHT, SHIFT, click, drag, press, pump, wait_for
from tests.plugin.slide.conftest import DISCS, disc_outline, overlap
from tests.plugin.slide.test_window import Window
from tests.slides.conftest import cell_pixels


@pytest.fixture
def window(make_napari_viewer, slide_layer_of, qtbot):
    viewer = make_napari_viewer(show=True)
    made = Window(viewer, slide_layer_of(viewer))
    yield made
    made.controller.work.run.stop()
    wait_for(lambda: made.controller.thread.idle)
    pump(0.05)


def squares(window, count=4):
    """Objects in a row, taken over at once."""
    made = [
        SlideObject(shapely.box(c, 100, c + 60, 160), name=f"square {c}") for c in range(100, 100 + 200 * count, 200)
    ]
    window.work.ask(lambda session: session.add_objects(made))
    window.settle()
    wait_for(lambda: len(window.panel.slides.table.rows) >= count)
    return [obj.object_id for obj in made]


def row_click(window, object_id, keys=NO_KEY):
    table = window.panel.slides.table
    number = [row.object_id for row in table.rows].index(object_id)
    index = table._sorted.mapFromSource(table._model.index(number, 0))
    table.scrollTo(index)
    QTest.mouseClick(table.viewport(), LEFT, keys, table.visualRect(index).center())
    pump(0.1)


def classes(window):
    return [obj.class_name for obj in window.objects]


def test_a_number_key_is_the_class_of_the_current_object_and_of_the_next_ones(window):
    press(window.viewer, Qt.Key.Key_2)
    click(window.viewer, window.world(*DISCS[0][:2]))
    wait_for(lambda: classes(window) == ["Stroma"])
    press(window.viewer, Qt.Key.Key_1)
    wait_for(lambda: classes(window) == ["Tumor"])
    press(window.viewer, Qt.Key.Key_N)
    click(window.viewer, window.world(*DISCS[1][:2]))
    wait_for(lambda: classes(window) == ["Tumor", "Tumor"])
    press(window.viewer, Qt.Key.Key_0)
    wait_for(lambda: classes(window) == ["Tumor", ""])
    # The object and its class are one step.
    for _ in range(2):
        press(window.viewer, Qt.Key.Key_Z, CONTROL)
        window.settle()
    assert classes(window) == ["Tumor"]
    press(window.viewer, Qt.Key.Key_9)
    wait_for(lambda: "There is no class 9" in window.panel.status.text())


def test_a_class_is_made_before_the_first_object_and_has_the_next_key(window):
    edit = window.panel.slides.classes.names.lineEdit()
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, "Mitosis 4")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    wait_for(lambda: [c.name for c in window.work.snapshot.classes][-1] == "Mitosis 4")
    window.settle()
    assert edit.text() == "Mitosis 4"
    # What is typed into a field is no number key.
    press(window.viewer, Qt.Key.Key_1)
    press(window.viewer, Qt.Key.Key_6)
    click(window.viewer, window.world(*DISCS[0][:2]))
    wait_for(lambda: classes(window) == ["Mitosis 4"])


def test_rows_selected_with_shift_and_control_are_classified_finished_and_removed_in_one_step(window):
    ids = squares(window)
    zoom = window.viewer.scene.camera.zoom
    row_click(window, ids[0])
    row_click(window, ids[2], SHIFT)
    assert set(window.work.selected) == set(ids[:3])
    row_click(window, ids[1], CONTROL)
    row_click(window, ids[0], CONTROL)
    row_click(window, ids[0], CONTROL)
    assert set(window.work.selected) == {ids[0], ids[2]}
    assert window.viewer.scene.camera.zoom == zoom
    press(window.viewer, Qt.Key.Key_1)
    wait_for(lambda: classes(window) == ["Tumor", "", "Tumor", ""])
    assert set(window.work.selected) == {ids[0], ids[2]}
    press(window.viewer, Qt.Key.Key_K)
    wait_for(lambda: [obj.finished for obj in window.objects] == [True, False, True, False])
    press(window.viewer, Qt.Key.Key_K)
    wait_for(lambda: not any(obj.finished for obj in window.objects))
    QTest.mouseClick(window.panel.remove, LEFT)
    wait_for(lambda: [obj.object_id for obj in window.objects] == [ids[1], ids[3]])
    press(window.viewer, Qt.Key.Key_Z, CONTROL)
    wait_for(lambda: [obj.object_id for obj in window.objects] == ids)


def test_page_keys_go_through_the_rows_as_they_are_sorted_and_keep_the_zoom(window):
    ids = squares(window)
    window.viewer.scene.camera.zoom *= 3
    zoom = window.viewer.scene.camera.zoom
    table = window.panel.slides.table
    table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    row_click(window, ids[3])
    seen = []
    for key in (Qt.Key.Key_PageDown, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp):
        press(window.viewer, key)
        seen.append(window.work.current)
    assert seen == [ids[2], ids[1], ids[2]]
    assert window.viewer.scene.camera.zoom == zoom
    assert np.allclose(window.viewer.scene.camera.center[-2:], window.world(129.5, 529.5), atol=1)
    assert "square 500: 2 of 4" in window.panel.status.text()


def test_one_by_one_every_click_is_an_object_and_a_click_on_one_selects_it(window):
    press(window.viewer, Qt.Key.Key_O)
    for row, col, _ in DISCS[:2]:
        click(window.viewer, window.world(row, col))
    wait_for(lambda: len(window.objects) == 2)
    window.settle()
    first = window.objects[0].object_id
    click(window.viewer, window.world(DISCS[0][0], DISCS[0][1] + 20))
    wait_for(lambda: window.work.current == first)
    click(window.viewer, window.world(DISCS[0][0], DISCS[0][1] + DISCS[0][2] + 40), RIGHT)
    window.settle()
    assert len(window.objects) == 2
    assert len(window.work.snapshot.prompts[first]) == 2
    press(window.viewer, Qt.Key.Key_O)
    click(window.viewer, window.world(DISCS[0][0], DISCS[0][1] - 20))
    window.settle()
    assert len(window.work.snapshot.prompts[first]) == 3


def test_lasso_brush_and_eraser_shape_an_outline_and_are_undone(window):
    press(window.viewer, Qt.Key.Key_L)
    wait_for(window.panel.slides.hands.buttons["lasso"].isChecked)
    centre = tuple(window.viewer.scene.camera.center)
    drag(window.viewer, window.world(1200, 300), window.world(1400, 300))
    window.settle()
    assert "no area" in window.panel.status.text()
    window.work.pointer.stroke_along([window.world(*at) for at in ((1200, 300), (1200, 500), (1400, 500), (1400, 300))])
    wait_for(lambda: window.objects)
    window.settle()
    (drawn,) = window.objects
    assert overlap(drawn.geometry, disc_outline(2)) > 0.2
    assert drawn.geometry.area == pytest.approx(200 * 200, rel=0.01)
    press(window.viewer, Qt.Key.Key_B)
    drag(window.viewer, window.world(1300, 500), window.world(1300, 700))
    wait_for(lambda: window.objects[0].geometry.area > drawn.geometry.area + 2000)
    window.settle()
    painted = window.objects[0].geometry
    assert painted.contains(shapely.Point(690, 1300))
    press(window.viewer, Qt.Key.Key_E)
    drag(window.viewer, window.world(1300, 500), window.world(1300, 800))
    wait_for(lambda: window.objects[0].geometry.area < painted.area - 2000)
    window.settle()
    assert not window.objects[0].geometry.contains(shapely.Point(690, 1300))
    assert tuple(window.viewer.scene.camera.center) == centre
    for expected in (painted, drawn.geometry):
        press(window.viewer, Qt.Key.Key_Z, CONTROL)
        wait_for(lambda shape=expected: window.objects[0].geometry.equals(shape))
    press(window.viewer, Qt.Key.Key_E)
    drag(window.viewer, window.world(800, 800), window.world(900, 800))
    wait_for(lambda: tuple(window.viewer.scene.camera.center) != centre)


def test_a_key_goes_through_the_masks_of_a_click_and_says_which_one(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    window = Window(viewer, viewer.add_image(cell_pixels(), rgb=True, name="cell"))
    press(viewer, Qt.Key.Key_M)
    assert "Click on an object first" in window.panel.status.text()
    click(viewer, window.world(450, 450))
    wait_for(lambda: window.objects)
    window.settle()
    said, areas = [], []
    for _ in range(3):
        press(viewer, Qt.Key.Key_M)
        window.settle()
        said.append(window.panel.status.text().split(",")[0])
        areas.append(round(window.objects[0].geometry.area))
        viewer.scene.camera.zoom *= 1.2
    assert said == ["Mask 2 of 3", "Mask 3 of 3", "Mask 1 of 3"]
    assert len(set(areas)) == 3
    press(viewer, Qt.Key.Key_Z, CONTROL)
    wait_for(lambda: round(window.objects[0].geometry.area) == areas[1])
