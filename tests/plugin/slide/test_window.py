"""The panel on a slide in a real napari window, with real mouse and key events."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam2.plugin.control.models import ModelChoice
from tests.plugin.driving import (
    CONTROL,
    LEFT,
    NO_KEY,
    RIGHT,
    SHIFT,
    canvas,
    canvas_position,
    click,
    drag,
    press,
    pump,
    wait_for,
)
from tests.plugin.slide.conftest import DISCS, corners_of, disc_outline, overlap, world_of

PLUGIN, PANEL = "napari-sam2", "Segment with SAM 2"


class Window:
    """A napari window with a slide opened and the panel docked."""

    def __init__(self, viewer, image):
        self.viewer, self.image = viewer, image
        viewer.window.resize(1300, 950)
        viewer.layers.selection.active = image
        self.dock, self.panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
        self.controller = self.panel.controller
        self.controller.use_model(ModelChoice("classical", "cpu"))
        wait_for(lambda: self.work is not None)
        self.settle()

    @property
    def work(self):
        return self.controller.work

    @property
    def objects(self):
        return self.work.snapshot.objects

    def settle(self):
        wait_for(lambda: self.controller.thread.idle and not self.controller.thread.queue.waiting)
        pump(0.25)

    def world(self, row, col):
        return world_of(self.image, row, col)

    def box(self, number):
        low, high = corners_of(number)
        drag(self.viewer, self.world(*low), self.world(*high), keys=SHIFT)
        self.settle()


@pytest.fixture
def window(make_napari_viewer, slide_layer_of, qtbot):
    viewer = make_napari_viewer(show=True)
    made = Window(viewer, slide_layer_of(viewer))
    yield made
    made.controller.work.run.stop()
    wait_for(lambda: made.controller.thread.idle)
    pump(0.05)


def test_volumes_controls_step_aside_and_come_back(window):
    panel = window.panel
    for widget in (
        panel.scans.table,
        panel.scans.run,
        panel.scans.strip,
        panel.scans.more,
        panel.scans.saving,
        panel.scans.window_choice,
    ):
        assert not widget.isVisible()
    assert panel.slides.table.isVisible()
    assert panel.slides.saving.isVisible()
    scan = window.viewer.add_image(np.random.default_rng(0).normal(size=(12, 40, 40)), name="scan")
    window.controller.use_image(scan)
    wait_for(lambda: window.controller.work is not None)
    window.settle()
    for widget in (panel.scans.table, panel.scans.run, panel.scans.strip, panel.scans.saving):
        assert widget.isVisible()
    assert not panel.slides.table.isVisible()
    window.controller.use_image(window.image)
    window.settle()
    assert panel.slides.table.isVisible()
    assert not panel.scans.run.isVisible()


def test_the_first_click_needs_no_set_up_and_corrections_follow(window):
    row, col, radius = DISCS[1]
    click(window.viewer, window.world(row, col))
    wait_for(lambda: window.objects)
    window.settle()
    assert overlap(window.objects[0].geometry, disc_outline(1)) > 0.85
    click(window.viewer, window.world(row + radius + 60, col), button=RIGHT)
    window.settle()
    click(window.viewer, window.world(row, col - radius - 60), keys=CONTROL)
    window.settle()
    (given,) = window.work.snapshot.prompts.values()
    assert [p.positive for p in given] == [True, False, False]
    assert np.allclose([(given[0].row, given[0].col)], [(row, col)], atol=4)
    assert len(window.objects) == 1


def test_shift_drag_gives_an_outline_and_a_row_in_square_microns(window):
    before = tuple(window.viewer.scene.camera.center)
    window.box(0)
    assert tuple(window.viewer.scene.camera.center) == before
    table = window.panel.slides.table
    wait_for(lambda: [r.name for r in table.rows] == ["object 1"])
    assert table.rows[0].area == pytest.approx(disc_outline(0).area / 16, rel=0.1)
    assert table._model.unit == "µm²"
    press(window.viewer, Qt.Key.Key_N)
    window.box(1)
    wait_for(lambda: len(table.rows) == 2)
    press(window.viewer, Qt.Key.Key_Z, CONTROL)
    wait_for(lambda: len(window.objects) == 1)
    window.viewer.layers.selection.active = window.work.result.layer
    press(window.viewer, Qt.Key.Key_Z, CONTROL | SHIFT)
    wait_for(lambda: len(window.objects) == 2)
    window.settle()
    assert len(window.work.result.layer.data) == 2


def test_a_vertex_is_moved_with_naparis_own_tool(window):
    window.box(1)
    (before,) = window.objects
    layer = window.work.result.layer
    window.viewer.layers.selection.active = layer
    layer.mode = "direct"
    pump(0.1)
    number = int(layer.data[0].sum(axis=1).argmin())
    vertex = layer.data[0][number]
    # The first press selects the shape, the second takes hold of its vertex.
    click(window.viewer, window.world(*layer.data[0].mean(axis=0)))
    pump(0.3)
    drag(window.viewer, window.world(*vertex), window.world(*(vertex - 120)))
    wait_for(lambda: window.objects[0].geometry.area > before.geometry.area + 500)
    assert window.objects[0].score is None
    assert window.objects[0].object_id == before.object_id
    press(window.viewer, Qt.Key.Key_Z, CONTROL)
    wait_for(lambda: window.objects[0].geometry.equals(before.geometry))
    layer.mode = "pan_zoom"


def test_an_object_is_drawn_with_naparis_rectangle_tool(window):
    layer = window.work.result.layer
    window.viewer.layers.selection.active = layer
    layer.mode = "add_rectangle"
    pump(0.1)
    drag(window.viewer, window.world(100, 100), window.world(300, 500))
    wait_for(lambda: window.objects)
    assert window.objects[0].geometry.bounds == pytest.approx((100, 100, 500, 300), abs=8)
    wait_for(lambda: list(layer.features["object_id"]) == [window.objects[0].object_id])


def test_class_name_acceptance_and_refinement_from_the_panel(window):
    window.box(1)
    parts = window.panel.slides
    pump(0.2)
    parts.classes.names.setCurrentIndex(parts.classes.names.findText("Stroma"))
    parts.classes.names.activated.emit(parts.classes.names.currentIndex())
    wait_for(lambda: window.objects[0].class_name == "Stroma")
    parts.classes.names.lineEdit().setFocus()
    parts.classes.names.lineEdit().selectAll()
    QTest.keyClicks(parts.classes.names.lineEdit(), "Gland")
    QTest.keyClick(parts.classes.names.lineEdit(), Qt.Key.Key_Return)
    wait_for(lambda: window.objects[0].class_name == "Gland")
    wait_for(lambda: parts.classes.names.findText("Gland") > 0)
    model = parts.table._sorted
    model.setData(model.index(0, 0), "gland 7")
    wait_for(lambda: window.objects[0].name == "gland 7")
    before = window.objects[0].geometry
    QTest.mouseClick(parts.refine, LEFT)
    wait_for(lambda: window.objects[0].geometry is not before)
    press(window.viewer, Qt.Key.Key_K)
    wait_for(lambda: window.objects[0].finished)
    press(window.viewer, Qt.Key.Key_K)
    wait_for(lambda: not window.objects[0].finished)
    QTest.mouseClick(window.panel.remove, LEFT)
    wait_for(lambda: not window.objects)


def test_a_hover_shows_an_outline_without_keeping_it(window):
    press(window.viewer, Qt.Key.Key_H)
    QTest.mouseMove(canvas(window.viewer), canvas_position(window.viewer, window.world(300, 300)))
    pump(0.1)
    QTest.mouseMove(canvas(window.viewer), canvas_position(window.viewer, window.world(*DISCS[1][:2])))
    wait_for(lambda: window.controller.work.pointer.n_previews > 0)
    window.settle()
    assert len(window.work.prompts.boxes.data) >= 1
    assert window.objects == ()
    press(window.viewer, Qt.Key.Key_H)
    assert len(window.work.prompts.boxes.data) == 0


def test_outlines_keep_their_width_on_the_screen(window):
    window.box(1)

    def width():
        layer = window.work.result.layer
        return layer.edge_width[0] * window.image.scale[0] * window.viewer.scene.camera.zoom if layer.data else 0

    for zoom in (0.4, 4.0):
        window.viewer.scene.camera.zoom = zoom
        # Drawn again when the camera has come to rest.
        wait_for(lambda: width() == pytest.approx(4, rel=0.1))


def test_an_automatic_run_is_begun_stopped_and_finished_from_the_panel(window):
    parts = window.panel.slides
    parts.automatic.expand(animate=False)
    pump(0.2)
    parts.automatic.where.setCurrentIndex(parts.automatic.where.findData("tissue"))
    offered = []
    for what in ("nuclei", "objects"):
        parts.automatic.what.setCurrentIndex(parts.automatic.what.findData(what))
        offered.append(parts.automatic.size.text())
    assert offered == ["8 um", "60 um"]
    parts.automatic.size.setText("30 um")
    assert "draft" in parts.automatic.find.toolTip()
    QTest.mouseClick(parts.automatic.find, LEFT)
    wait_for(lambda: window.controller.work.run.running)
    wait_for(parts.automatic.stop.isVisible)
    press(window.viewer, Qt.Key.Key_Escape)
    wait_for(lambda: not window.controller.work.run.running)
    window.settle()
    if window.work.snapshot.unfinished is not None:
        wait_for(parts.automatic.resume.isVisible)
        QTest.mouseClick(parts.automatic.resume, LEFT)
        wait_for(lambda: window.work.snapshot.unfinished is None, 120)
    window.settle()
    assert any(overlap(o.geometry, disc_outline(0)) > 0.7 for o in window.objects)
    wait_for(lambda: len(parts.table.rows) >= len(window.objects))


def test_nuclei_as_large_as_an_outline_are_found_from_the_panel(window):
    window.work._on_drawn(disc_outline(2))
    window.settle()
    box = window.panel.slides.automatic
    box.expand(animate=False)
    pump(0.2)
    box.what.setCurrentIndex(box.what.findData("nuclei"))
    box.where.setCurrentIndex(box.where.findData("tissue"))
    box.size.setFocus()
    QTest.keyClick(box.size, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(box.size, Qt.Key.Key_Delete)
    QTest.mouseClick(box.find, LEFT)
    wait_for(lambda: "Found" in window.panel.status.text(), 60)
    window.settle()
    # What is outlined already is not found a second time.
    (outlined,) = [o for o in window.objects if overlap(o.geometry, disc_outline(2)) > 0.5]
    assert outlined.kind == "annotation"
    assert "1 more" in window.panel.status.text()


def test_microns_are_asked_for_when_missing_and_saving_writes_what_the_name_says(
    make_napari_viewer, disc_pixels, tmp_path
):
    viewer = make_napari_viewer(show=True)
    window = Window(viewer, viewer.add_image(disc_pixels, rgb=True, name="picture"))
    parts = window.panel.slides
    window.box(0)
    wait_for(lambda: parts.table.rows[0].name == "object 1")
    assert parts.mpp.isVisible()
    assert parts.table._model.unit == "px²"
    parts.mpp.setFocus()
    QTest.keyClicks(parts.mpp, "nonsense")
    QTest.keyClick(parts.mpp, Qt.Key.Key_Return)
    wait_for(lambda: "Microns per pixel" in window.panel.status.text())
    parts.mpp.clear()
    QTest.keyClicks(parts.mpp, "0.5")
    QTest.keyClick(parts.mpp, Qt.Key.Key_Return)
    wait_for(lambda: parts.table._model.unit == "µm²")
    assert parts.table.rows[0].area == pytest.approx(disc_outline(0).area / 4, rel=0.1)
    parts.saving.suggest(tmp_path / "objects.geojson")
    QTest.mouseClick(parts.saving.save, LEFT)
    wait_for((tmp_path / "objects.geojson").is_file)
    window.settle()
    assert "Saved objects.geojson with 1 object." in window.panel.status.text()


def test_the_window_never_waits_for_the_model(window):
    gate, moved = threading.Event(), []
    # The model is busy until the gate opens: whatever the window does before, it does without an answer.
    window.work.ask_quietly(lambda _: gate.wait(60), lambda _: None)
    low, high = corners_of(1)
    drag(window.viewer, window.world(*low), window.world(*high), keys=SHIFT)
    assert window.objects == ()
    assert len(window.work.prompts.boxes.data) == 1
    press(window.viewer, Qt.Key.Key_N)
    click(window.viewer, window.world(*DISCS[0][:2]))
    window.viewer.scene.camera.events.zoom.connect(lambda _: moved.append(True))
    window.viewer.scene.camera.zoom *= 1.1
    pump(0.1)
    assert moved
    assert len(window.work.prompts.clicks.data) == 1
    assert window.objects == ()
    gate.set()
    wait_for(lambda: len(window.objects) == 2)


def test_the_panel_fits_280_pixels_and_typing_a_class_reaches_no_shortcut(window):
    window.panel.resize(280, 900)
    pump(0.1)
    assert window.panel.minimumSizeHint().width() <= 280
    window.panel.slides.automatic.expand(animate=False)
    pump(0.1)
    # Nothing is wider than what is seen of it.
    assert window.panel.scroll.widget().width() <= window.panel.scroll.viewport().width()
    window.box(0)
    edit = window.panel.slides.classes.names.lineEdit()
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, "Nerve", NO_KEY)
    pump(0.2)
    assert edit.text() == "Nerve"
    assert window.work.current_object is not None
