"""A real napari window with real mouse and key events: what only Qt can get wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_sam2.plugin.control.action_table import ACTIONS, action
from napari_sam2.plugin.control.registry import controller_for
from napari_sam2.plugin.widgets.panel import SegmentPanel
from napari_sam2.plugin.widgets.wrapped_label import WrappedLabel
from napari_sam2.record.journal import JournalNote
from tests.plugin.ball_window import CENTRE, Window
from tests.plugin.conftest import ball_truth
from tests.plugin.driving import (
    CONTROL,
    LEFT,
    RIGHT,
    SHIFT,
    QTest,
    activate,
    canvas,
    click,
    drag,
    press,
    pump,
    wait_for,
)


def test_the_first_click_needs_no_set_up(window):
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)
    assert window.object().prompts[0].positive
    assert np.allclose(window.object().prompts[0].voxel, CENTRE, atol=0.6)
    assert window.labels()[tuple(CENTRE)] == 1


def test_right_click_and_control_click_exclude_and_double_click_adds_one_prompt(window):
    click(window.viewer, window.world(0, 0, 0))
    click(window.viewer, window.world(5, 5, 0), button=RIGHT)
    click(window.viewer, window.world(-5, 5, 0), keys=CONTROL)
    wait_for(lambda: len(window.object().prompts) == 3)
    assert [p.positive for p in window.object().prompts] == [True, False, False]
    from tests.plugin.driving import canvas_position

    pump(0.5)
    zoom = window.viewer.scene.camera.zoom
    QTest.mouseDClick(canvas(window.viewer), LEFT, pos=canvas_position(window.viewer, window.world(1, 1, 0)))
    pump(0.3)
    assert len(window.object().prompts) <= 4
    window.viewer.scene.camera.zoom = zoom


def test_shift_drag_draws_a_box_and_plain_drag_pans(window):
    before = tuple(window.viewer.scene.camera.center)
    window.draw_box()
    assert tuple(window.viewer.scene.camera.center) == before
    assert len(window.controller.work.prompts.boxes.data) == 1
    assert window.object().prompts[0].fixed_axes == (2,)
    overlap = (window.labels()[:, :, CENTRE[2]] == 1) & ball_truth()[:, :, CENTRE[2]]
    assert overlap.sum() > 0.85 * ball_truth()[:, :, CENTRE[2]].sum()
    drag(window.viewer, window.world(0, 0, 0), window.world(6, 0, 0))
    assert tuple(window.viewer.scene.camera.center) != before
    assert len(window.object().prompts) == 1


def test_a_key_propagates_and_undo_works_whatever_layer_is_active(window):
    window.draw_box()
    press(window.viewer, Qt.Key.Key_G)
    wait_for(lambda: len(window.object().slices) > 5 and not window.controller.work.run.running)
    assert "Propagated" in window.panel.status.text()
    for layer in (window.controller.work.prompts.clicks, window.controller.work.result.layer):
        window.viewer.layers.selection.active = layer
        press(window.viewer, Qt.Key.Key_Z, CONTROL)
        wait_for(lambda: len(window.object().slices) <= 1)
        press(window.viewer, Qt.Key.Key_Z, CONTROL | SHIFT)
        wait_for(lambda: len(window.object().slices) > 5)


def test_every_button_shows_its_key_and_the_panel_fits_280_pixels(window):
    from qtpy.QtWidgets import QPushButton

    buttons = {b.objectName(): b for b in window.panel.findChildren(QPushButton) if b.objectName()}
    for entry in ACTIONS:
        if entry.name in buttons:
            assert action(entry.name).key in buttons[entry.name].text()
    for part in (window.panel.shaping, window.panel.viewing, window.panel.scans.more):
        part.expand(animate=False)
    window.controller.work.range.set(2, 10, 20, 24)
    pump(0.3)
    # Whatever appears at times, all at once.
    window.panel.resume.offer(JournalNote(Path("x"), 3, 12, datetime.now(UTC)))
    window.panel.scans.check.show_figures("Object 1, Dice between planes: sagittal-coronal 0.79, sagittal-axial 0.75.")
    window.panel.scans.saving.ask("Nothing proves how the scan lies in the patient. Choose the image file.")
    QApplication.processEvents()
    assert window.panel.scans.check.isVisible()
    pump(0.05)
    for label in set(window.panel.findChildren(WrappedLabel)) - {window.panel.status}:
        assert not label.isVisible() or label.height() >= label.heightForWidth(label.width()), label.text()
    margins = window.panel.layout().contentsMargins()
    beside = window.panel.scroll.verticalScrollBar().sizeHint().width() + margins.left() + margins.right()
    assert window.panel.scroll.widget().minimumSizeHint().width() <= 280 - beside
    assert window.panel.minimumSizeHint().width() <= 280


def test_the_range_is_set_by_keys_and_fields_and_cleared_with_one_click(window):
    press(window.viewer, Qt.Key.Key_Comma)
    box = window.panel.scans.more.range
    wait_for(lambda: box.first.value() == CENTRE[2])
    assert (box.first.value(), box.last.value()) == (CENTRE[2], 23)
    window.panel.shaping.expand(animate=False)
    window.panel.scans.more.expand(animate=False)
    pump(0.1)
    box.last.selectAll()
    # 1 and 8 are keys of the canvas and of the panel; in a field they are digits.
    QTest.keyClicks(box.last, "18")
    QTest.keyClick(box.last, Qt.Key.Key_Return)
    wait_for(lambda: window.panel.scans.run.clear_range.text().startswith(f"Slices {CENTRE[2]} to 18"))
    assert window.controller.work.range.ends(2) == (CENTRE[2], 18)
    QTest.mouseClick(window.panel.scans.run.clear_range, LEFT)
    wait_for(lambda: not window.panel.scans.run.clear_range.isEnabled())
    assert (box.first.value(), box.last.value()) == (0, 23)


def test_a_name_is_completed_as_one_types(window):
    window.draw_box()
    table = window.panel.scans.table
    wait_for(lambda: table.rowCount() == 1)
    activate(window.viewer)
    table.editItem(table.item(0, 0))
    line = table.findChild(QLineEdit)
    QTest.keyClicks(line, "kidn")
    popup = line.completer().popup()
    wait_for(popup.isVisible)
    offered = [popup.model().index(n, 0).data() for n in range(popup.model().rowCount())]
    assert offered == ["kidney", "left kidney", "right kidney"]
    assert popup.width() > popup.fontMetrics().horizontalAdvance("right kidney")
    for _ in range(2):
        QTest.keyClick(popup, Qt.Key.Key_Down)
    QTest.keyClick(popup, Qt.Key.Key_Return)
    QTest.keyClick(line, Qt.Key.Key_Return)
    wait_for(lambda: window.object().name == "left kidney")
    assert window.object().code.value == "64033007"
    wait_for(lambda: "64033007" in table.item(0, 0).toolTip())


def test_the_overlap_rule_is_chosen_in_the_panel(window):
    overlap = window.panel.scans.more.overlap
    wait_for(lambda: overlap.currentData() == "smallest")
    overlap.setCurrentIndex(overlap.findData("last"))
    overlap.activated.emit(overlap.currentIndex())
    wait_for(lambda: window.controller.work.snapshot.overlap == "last")


def test_a_hidden_panel_gets_no_clicks_and_a_shown_one_does_again(window):
    window.dock.hide()
    pump(0.2)
    click(window.viewer, window.world(0, 0, 0))
    pump(0.3)
    assert not window.controller.work.snapshot.objects
    window.dock.show()
    pump(0.2)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)
    assert len(window.object().prompts) == 1


def test_a_second_panel_is_not_a_second_state(window):
    from napari_sam2.plugin.widgets.panel import SegmentPanel

    second = SegmentPanel(window.viewer)
    window.viewer.window.add_dock_widget(second, name="again")
    pump(0.2)
    assert second.controller is window.controller is controller_for(window.viewer)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)
    pump(0.2)
    assert len(window.object().prompts) == 1
    assert second.scans.table.rowCount() == window.panel.scans.table.rowCount() == 1
    window.viewer.window.remove_dock_widget(second)


def test_naparis_own_tools_work_on_the_prompt_layers(window):
    clicks = window.controller.work.prompts.clicks
    window.viewer.layers.selection.active = clicks
    clicks.mode = "add"
    pump(0.1)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)
    assert len(window.object().prompts) == 1


def test_the_table_renames_and_finishes_objects(window):
    window.draw_box()
    table = window.panel.scans.table
    pump(0.1)
    table.item(0, 0).setText("ball")
    wait_for(lambda: window.object().name == "ball")
    table.item(0, 4).setCheckState(Qt.CheckState.Checked)
    wait_for(lambda: window.object().finished)
    press(window.viewer, Qt.Key.Key_N)
    assert window.controller.work.current == 2
    wait_for(lambda: table.rowCount() == 2)


def test_a_command_from_the_palette_opens_the_panel_when_it_is_hidden(window):
    from napari_sam2.plugin import commands

    window.draw_box()
    window.dock.hide()
    pump(0.2)
    assert not window.controller.has_panel
    commands.finish_object(window.viewer)
    wait_for(lambda: window.object().finished)
    assert window.controller.has_panel
    assert window.panel.isVisible()


def test_an_error_is_a_notification_and_the_next_click_works(window):
    seen = []
    notification_manager.notification_ready.connect(seen.append)
    click(window.viewer, window.world(0, 0, 0), button=RIGHT)
    wait_for(lambda: seen)
    assert "no positive prompt" in str(seen[-1].message)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)


def test_closing_the_viewer_during_a_run_is_safe(make_napari_viewer, ball_file, qtbot):
    made = Window(make_napari_viewer(show=True), ball_file)
    made.draw_box()
    run = made.controller.work.run
    press(made.viewer, Qt.Key.Key_G)
    made.viewer.close()
    wait_for(lambda: made.controller.thread.idle)
    assert not run.running or made.controller.thread.idle


def test_keys_work_with_two_panels_in_one_window_and_the_other_goes_on_when_one_is_closed(window):
    """Qt finds each key twice then, and did neither."""
    second = SegmentPanel(window.viewer)
    window.viewer.window.add_dock_widget(second, name="again")
    assert second.controller is window.controller
    window.draw_box()
    first = window.controller.work.current
    press(window.viewer, Qt.Key.Key_N)
    wait_for(lambda: window.controller.work.current == first + 1)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object(first + 1) and window.object(first + 1).slices)
    press(window.viewer, Qt.Key.Key_Z, CONTROL)
    wait_for(lambda: sorted(window.controller.work.snapshot.objects) == [first])
    window.viewer.window.remove_dock_widget(window.dock)
    pump(0.2)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: len(window.controller.work.snapshot.objects) == 2)
