"""The line that says where the model runs, in a real window with a real server."""

from __future__ import annotations

import os

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_sam2.models.classical import ClassicalModel
from napari_sam2.models.small.model import load_bundled
from napari_sam2.plugin.control.models import ModelChoice
from napari_sam2.plugin.widgets.server_line import ServerDialog
from tests.plugin.driving import QTest, click, press, pump, wait_for
from tests.remote.serving import TOKEN, served


@pytest.fixture(scope="module")
def server():
    with served({"classical": ClassicalModel(), "bundled": load_bundled()}) as running:
        yield running


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return path


def shot(name, widget):
    """A picture for people, where the environment asks for one."""
    folder = os.environ.get("NAPARI_SAM2_SHOTS")
    if folder:
        pump(0.3)
        widget.grab().save(f"{folder}/{name}.png")


def fill_in(panel, address, token):
    """Press the button, fill in the dialog with the keyboard, and press OK."""

    def answer():
        opened = [w for w in QApplication.topLevelWidgets() if isinstance(w, ServerDialog) and w.isVisible()]
        if not opened:
            QTimer.singleShot(100, answer)
            return
        dialog = opened[-1]
        assert dialog.address.hasFocus()
        for field, text in ((dialog.address, address), (dialog.token, str(token))):
            field.clear()
            QTest.keyClicks(field, text)
        shot("server-dialog", dialog)
        QTest.mouseClick(dialog.buttons.button(dialog.buttons.StandardButton.Ok), Qt.MouseButton.LeftButton)

    QTimer.singleShot(300, answer)
    QTest.mouseClick(panel.server.change, Qt.MouseButton.LeftButton)


def test_a_server_answers_clicks_and_runs_and_the_panel_says_so(window, server, token_file):
    panel, main = window.panel, window.viewer.window._qt_window
    panel.viewing.expand(animate=False)
    panel.objects.collapse(animate=False)
    pump(0.2)
    fill_in(panel, server.url, token_file)
    wait_for(lambda: "Model classical on" in panel.status.text())
    assert panel.server.place.text() == server.url
    assert [panel.model.itemText(n) for n in range(panel.model.count())] == ["classical", "bundled"]
    shot("connected", main)
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)
    assert len(server.holdings._leases) == 1
    press(window.viewer, Qt.Key.Key_G)
    wait_for(lambda: len(window.object().slices) > 5 and window.controller.thread.idle)
    shot("propagated", main)
    assert window.labels().any()


def test_a_server_that_is_not_there_is_told_in_a_sentence_and_the_work_goes_on_here(window, token_file):
    panel = window.panel
    panel.viewing.expand(animate=False)
    pump(0.2)
    fill_in(panel, "http://127.0.0.1:1", token_file)
    wait_for(lambda: "does not answer" in panel.status.text())
    shot("not-there", window.viewer.window._qt_window)
    window.controller.use_model(ModelChoice("classical"))
    wait_for(lambda: "Model classical" in panel.status.text())
    click(window.viewer, window.world(0, 0, 0))
    wait_for(lambda: window.object().slices)
