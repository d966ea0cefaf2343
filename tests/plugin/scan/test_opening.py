"""The command `napari-sam2 open`, in the real event loop."""

from __future__ import annotations

import napari
import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_sam2.cli import main
from napari_sam2.plugin.widgets.panel import SegmentPanel
from tests.plugin.conftest import BALL_AFFINE, ball_truth

WITHIN_MS = 60_000


def start_loops_again() -> None:
    """Let later tests wait in an event loop.

    A window that closes asks the application to end once more, after its loop has ended; until the next loop of the
    application, Qt then ends every loop at once.
    """
    QApplication.processEvents()
    QTimer.singleShot(0, QApplication.exit)
    QApplication.exec()


@pytest.fixture
def look(make_napari_viewer):
    """Runs a command that opens a window; gives what `see` finds in it once that is something."""

    def run(arguments, see):
        found = []

        def ask():
            viewer = napari.current_viewer()
            panels = viewer.window._qt_window.findChildren(SegmentPanel) if viewer else []
            if panels and panels[0].controller.work is not None:
                seen = see(viewer, panels[0])
                if seen is None:
                    return
                found.append(seen)
                timer.stop()
                viewer.close()
                QApplication.exit()

        timer, deadline = QTimer(), QTimer()
        timer.timeout.connect(ask)
        timer.start(50)
        deadline.setSingleShot(True)
        deadline.timeout.connect(QApplication.exit)
        deadline.start(WITHIN_MS)
        code = main([str(a) for a in arguments])
        timer.stop()
        deadline.stop()
        start_loops_again()
        return code, found

    return run


def test_a_scan_opens_with_its_labels_as_objects_and_the_panel_on_the_scan(look, ball_file, tmp_path):
    labels = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(ball_truth().astype(np.uint8) * 3, BALL_AFFINE), labels)

    def see(viewer, panel):
        work = panel.controller.work
        if 3 not in work.snapshot.objects:
            return None
        kinds = {layer.name: type(layer).__name__ for layer in viewer.layers}
        return kinds, work.image.name, int((work.result.layer.data == 3).sum())

    code, found = look(["open", ball_file, labels], see)
    assert code == 0
    layers, on, n_labelled = found[0]
    assert layers["ball segmentation"] == "Labels"
    assert layers[on] == "Image"
    assert n_labelled == ball_truth().sum()
