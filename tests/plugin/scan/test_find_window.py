"""The page "Find by name" in a real window, with keys and mouse."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam2.plugin.widgets.find_box import FindBox
from tests.finding.project import write_project
from tests.plugin.driving import press, pump, wait_for


def test_a_name_is_typed_its_candidates_come_into_sight_and_keys_decide(make_napari_viewer, tmp_path, qtbot):
    project = write_project(tmp_path, finished=1, new=1)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 720)
    viewer.open(str(project.with_name("s01.nii.gz")), plugin="napari-sam2")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    controller = panel.controller
    wait_for(lambda: controller.work is not None)
    finding, box = controller.work.finding, panel.findChild(FindBox)

    def settle():
        wait_for(lambda: controller.thread.idle and not finding.running)
        pump(0.1)

    box.toggleButton().click()
    box.use_project(str(project))
    wait_for(lambda: finding.memory is not None)
    settle()
    QTest.keyClicks(box.name, "kid")
    pump(0.2)
    assert box.name.completer().popup().model().rowCount() == 2
    box.name.clear()
    QTest.keyClicks(box.name, "kidney")
    box.name.completer().popup().hide()
    QTest.keyClick(box.name, Qt.Key.Key_Return)
    settle()
    assert [box.list.item(row).text().split("  ")[0] for row in range(box.list.count())] == [
        "left kidney",
        "right kidney",
    ]
    for widget in (box.list, box.accept, box.reject):
        # Seen without scrolling.
        wait_for(lambda w=widget: w.visibleRegion().boundingRect().height() == w.height())
    layer = controller.work.result.layer
    assert layer is None or not np.asarray(layer.data).any()
    press(viewer, Qt.Key.Key_Y)
    settle()
    press(viewer, Qt.Key.Key_X)
    settle()
    assert [o.name for o in controller.work.snapshot.objects.values()] == ["left kidney"]
    assert not box.list.isVisible()
