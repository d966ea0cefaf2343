"""The window as one lives in it: room for the picture, nothing that moves, keys that go on working."""

from __future__ import annotations

import threading

import pytest
from napari.settings import get_settings
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QPushButton

from napari_sam2.core.prompts import Box
from napari_sam2.plugin.reader import read
from tests.plugin.conftest import BALL_CENTRE
from tests.plugin.driving import LEFT, SHIFT, QTest, activate, canvas, drag, press, pump, wait_for

SMALL = (1090, 655)


@pytest.fixture
def small(make_napari_viewer, ball_file, qtbot):
    """A window of the size in which napari opens, with the ball and the panel."""
    viewer = make_napari_viewer(show=True)
    array, arguments, _ = read(str(ball_file))[0]
    image = viewer.add_image(array, **arguments)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    viewer.window.resize(*SMALL)
    wait_for(lambda: panel.controller.work is not None)
    panel.controller.work.view.go_to(2, int(BALL_CENTRE[2]))
    pump(0.3)
    yield viewer, panel, image
    if panel.controller.work is not None:
        panel.controller.work.run.stop()
    wait_for(lambda: panel.controller.thread.idle)
    pump(0.05)


def test_the_picture_has_most_of_a_small_window_and_save_is_in_sight(small):
    viewer, panel, _ = small
    window, native = viewer.window._qt_window, canvas(viewer)
    assert (window.width(), window.height()) == SMALL
    assert native.width() * native.height() >= 0.6 * window.width() * window.height()
    for widget in (panel.scans.saving.save, panel.status, panel.activity, panel.scans.strip):
        at = widget.mapTo(window, QPoint(0, widget.height()))
        assert widget.isVisible()
        assert at.y() <= window.height()
    assert panel.scroll.widget().height() <= panel.scroll.viewport().height()


def test_nothing_is_cut_in_a_font_a_quarter_larger(small):
    viewer, panel, _ = small
    appearance = get_settings().appearance
    before = appearance.font_size
    panel.status.setText(
        "The longest sentences of the panel take three lines, so that there has to be room for three. "
    )
    try:
        appearance.font_size = round(1.25 * before)
        pump(0.5)
        panel.shaping.expand(animate=False)
        pump(0.3)
        assert panel.status.height() >= 3 * panel.status.fontMetrics().lineSpacing()
        assert panel.where.height() >= 2 * panel.where.fontMetrics().lineSpacing()
        assert panel.scroll.widget().width() <= panel.scroll.viewport().width()
        for button in panel.scroll.widget().findChildren(QPushButton):
            if button.isVisible():
                assert button.width() >= button.fontMetrics().horizontalAdvance(button.text()), button.text()
        assert canvas(viewer).width() > viewer.window._qt_window.width() / 2
    finally:
        appearance.font_size = before


def test_layer_lists_come_back_with_a_key(small):
    viewer, _panel, _ = small
    docks = [d for d in viewer.window._qt_window.findChildren(QDockWidget) if d.objectName().startswith("layer ")]
    assert len(docks) == 2
    assert all(dock.isHidden() for dock in docks)
    press(viewer, Qt.Key.Key_L, SHIFT)
    assert not any(dock.isHidden() for dock in docks)
    press(viewer, Qt.Key.Key_L, SHIFT)
    assert all(dock.isHidden() for dock in docks)


def test_work_is_seen_at_once_and_nothing_moves_meanwhile(small):
    viewer, panel, image = small
    places = (panel.activity, panel.scans.table, panel.scans.strip, panel.scans.run, panel.scans.saving)

    def seen():
        return [(w.mapTo(panel, QPoint(0, 0)), w.size()) for w in places]

    before, hold = seen(), threading.Event()
    panel.controller.thread.request(hold.wait, lambda _: None, pytest.fail)
    wait_for(lambda: panel.activity.bar.busy, 5)
    assert "Working" in panel.activity.bar.accessibleName()
    panel.controller.workspace.say("A long sentence, as it comes at times, with what to do next. " * 4)
    pump(0.1)
    assert seen() == before
    hold.set()
    wait_for(lambda: not panel.activity.bar.busy, 5)
    centre = BALL_CENTRE.astype(int)
    ends = [image.data_to_world((centre + offset)[::-1]) for offset in ((-9, -9, 0), (9, 9, 0))]
    drag(viewer, *ends, keys=SHIFT)
    wait_for(lambda: panel.controller.work.object(1).slices)
    press(viewer, Qt.Key.Key_G)
    wait_for(lambda: panel.activity.stop.isEnabled() or len(panel.controller.work.object(1).slices) > 5)
    assert seen() == before
    wait_for(lambda: not panel.controller.work.run.running)
    assert not panel.activity.stop.isEnabled()


def test_arrow_keys_move_through_slices_after_a_click_anywhere_in_the_panel(small):
    viewer, panel, _ = small
    activate(viewer)
    canvas(viewer).setFocus()
    clicked = (
        panel.scans.table.viewport(),
        panel.shaping.toggleButton(),
        panel.viewing.toggleButton(),
        panel.scans.strip,
        panel.scroll.viewport(),
        panel.layers,
        panel.layers,
    )
    for widget in clicked:
        QTest.mouseClick(widget, LEFT)
        pump(0.05)
        at = viewer.dims.current_step
        focused = viewer.window._qt_window.focusWidget() or viewer.window._qt_window
        QTest.keyClick(focused, Qt.Key.Key_Right)
        pump(0.05)
        assert viewer.dims.current_step != at, widget


def test_a_deleted_layer_of_ours_is_made_again_with_all_work(small):
    viewer, panel, image = small
    centre = BALL_CENTRE.astype(int)
    ends = [image.data_to_world((centre + offset)[::-1]) for offset in ((-9, -9, 0), (9, 9, 0))]
    drag(viewer, *ends, keys=SHIFT)
    wait_for(lambda: panel.controller.work.object(1).slices)
    before = panel.controller.work
    drawn = before.result.layer.data.copy()
    viewer.layers.remove(before.result.layer)
    wait_for(lambda: panel.controller.work not in (None, before) and panel.controller.work.object(1).slices)
    pump(0.2)
    assert (panel.controller.work.result.layer.data == drawn).all()
    assert len([layer for layer in viewer.layers if layer.name.startswith("ball segmentation")]) == 1
    assert "nothing is lost" in panel.status.text()
    # A share that was gone for a moment has the last action before another one is done.
    autosave = panel.controller.work.autosave
    gone = autosave.folder.with_name("gone")
    panel._catching_up.setInterval(20)
    autosave.folder.rename(gone)
    panel.controller.do("undo")
    wait_for(lambda: autosave.is_behind)
    gone.rename(autosave.folder)
    wait_for(lambda: not autosave.is_behind)
    panel.controller.do("redo")
    wait_for(lambda: panel.controller.work.object(1).slices)
    viewer.layers.remove(image)
    pump(0.2)
    assert panel.controller.work is None
    assert "Its work is kept" in panel.status.text()
    assert not panel.where.text()


def test_three_lines_of_state_are_seen_whole(small):
    _viewer, panel, _ = small
    for sentence in (
        "This is object 1; the current object is object 2. Select object 1 in the table to correct it.",
        "Cannot write full.nii.gz (File too large); nothing was changed there; free some space or choose another disk.",
    ):
        panel.controller.workspace.say(sentence)
        pump(0.05)
        # What napari leaves free below the last line need not be seen.
        padding = panel.status.heightForWidth(panel.status.width()) - 3 * panel.status.fontMetrics().lineSpacing()
        assert panel.status.heightForWidth(panel.status.width()) - padding // 2 <= panel.status.height()
        assert panel.status.toolTip() == sentence


def test_the_wheel_over_a_list_changes_no_choice(small):
    """Model and window go into every answer; a list that scrolled under the mouse changed them unseen."""
    _viewer, panel, _ = small
    choice = panel.model
    before = choice.currentIndex()
    assert choice.count() > 1
    place = QPointF(5, 5)
    for turn in (-120, 120):
        QApplication.sendEvent(
            choice,
            QWheelEvent(
                place, QPointF(choice.mapToGlobal(QPoint(5, 5))), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
            ),
        )  # fmt: skip
        assert choice.currentIndex() == before


def test_the_current_object_stays_in_sight_whatever_height_the_window_has(small):
    viewer, panel, _ = small
    work, table = panel.controller.work, panel.scans.table
    for number in range(1, 7):
        work.add_prompt(Box(((12, 14, 12), (24, 26, 12))))
        wait_for(lambda number=number: len(work.snapshot.objects) == number)
        panel.controller.do("next_object")
        pump(0.05)
    work.select(6)
    wait_for(lambda: table.rowCount() >= 6 and table.currentRow() == 5)
    for height in (900, SMALL[1], 760):
        viewer.window.resize(SMALL[0], height)
        pump(0.2)
        current = table.visualRect(table.model().index(5, 0))
        assert table.viewport().rect().contains(current.topLeft())
        assert table.viewport().rect().contains(current.bottomLeft())
