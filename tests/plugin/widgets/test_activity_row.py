"""The row that says whether something is going on."""

from __future__ import annotations

from napari_sam2.plugin.control.progress import Progress
from napari_sam2.plugin.widgets.activity_row import STALE_SECONDS, ActivityRow


def test_a_run_that_waits_promises_no_time(qtbot):
    row = ActivityRow(lambda _: None, lambda: True)
    qtbot.addWidget(row)
    row.show_progress(Progress(20, 40, 10.0))
    row._look()
    assert row.bar.text == "20 of 40, 10 s left at most"
    row._came -= STALE_SECONDS + 1
    row._look()
    assert row.bar.text == "20 of 40, waiting"
    row.show_progress(Progress(21, 40, 9.0))
    assert row.bar.text == "21 of 40, 9 s left at most"
