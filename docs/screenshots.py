"""Make the pictures of the tutorial: a scripted annotation in a real napari window, with real mouse and keys.

    make screenshots      (needs an X display; under Linux without one: xvfb-run -a make screenshots)

Writes docs/images/*.png and prints how long each step took.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from slide_screenshots import walk_slide  # noqa: E402


class Walk:
    """The window, the panel, and a clock."""

    def __init__(self, pictures: Path, model: str) -> None:
        import napari
        from napari.utils.notifications import notification_manager

        from napari_sam2.io import read_labels, read_volume
        from napari_sam2.plugin.control.models import ModelChoice
        from napari_sam2.sample_data import sample

        notification_manager.__enter__()
        self.pictures = pictures
        self.clicks = self.keys = 0
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1400, 900)
        path, labels, names = sample("ct_abdomen")
        self.truth = read_labels(labels, read_volume(path))
        self.ids = {name: number for number, name in names.items()}
        self.image = self.viewer.open_sample("napari-sam2", "ct_abdomen")[0]
        self.dock, self.panel = self.viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
        self.controller = self.panel.controller
        self.wait(lambda: self.controller.work is not None)
        if model:
            self.controller.use_model(ModelChoice(model, "cpu"))
            self.panel.model.setCurrentText(model)
        self.settle()
        self.began = time.perf_counter()

    def wait(self, condition, seconds=600.0):
        from tests.plugin.driving import wait_for

        wait_for(condition, seconds)

    def settle(self):
        from tests.plugin.driving import pump

        self.wait(lambda: self.controller.thread.idle and not self.controller.work.run.running)
        pump(0.4)

    def picture(self, name):
        from tests.plugin.driving import pump

        pump(0.3)
        self.viewer.window.screenshot(str(self.pictures / f"{name}.png"), canvas_only=False, flash=False)
        print(f"{time.perf_counter() - self.began:6.1f} s  {name:22s} {self.controller.workspace.status}")

    def world(self, voxel):
        annotation = self.controller.work
        return annotation.image.data_to_world(annotation.shown.grid.to_data(voxel)[0])

    def press(self, key, modifiers=None):
        from tests.plugin.driving import NO_KEY, press

        press(self.viewer, key, NO_KEY if modifiers is None else modifiers)
        self.keys += 1

    def box(self, name, margin=1):
        from tests.plugin.driving import SHIFT, drag

        truth = self.truth == self.ids[name]
        k = int(truth.sum((0, 1)).argmax())
        self.controller.work.view.go_to(2, k)
        i, j = np.nonzero(truth[:, :, k])
        low, high = (i.min() - margin, j.min() - margin, k), (i.max() + margin, j.max() + margin, k)
        drag(self.viewer, self.world(low), self.world(high), keys=SHIFT)
        self.clicks += 1
        self.settle()
        return k

    def dice(self, name, object_id):
        annotation = self.controller.work
        found = annotation.shown.grid.stored(annotation.result.layer.data) == object_id
        truth = self.truth == self.ids[name]
        return 2 * (found & truth).sum() / (found.sum() + truth.sum())

    def correct(self, name, object_id):
        """Click where the slice on view is most wrong."""
        from scipy.ndimage import distance_transform_edt
        from tests.plugin.driving import LEFT, RIGHT, click

        annotation = self.controller.work
        _axis, index = self.controller.work.view.slice()
        found = annotation.shown.grid.stored(annotation.result.layer.data)[:, :, index] == object_id
        truth = (self.truth == self.ids[name])[:, :, index]
        missed, extra = (distance_transform_edt(np.pad(w, 1))[1:-1, 1:-1] for w in (truth & ~found, found & ~truth))
        where = missed if missed.max() >= extra.max() else extra
        if where.max() < 2:
            return False
        i, j = np.unravel_index(where.argmax(), where.shape)
        click(self.viewer, self.world((i, j, index)), button=LEFT if where is missed else RIGHT)
        self.clicks += 1
        self.settle()
        return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--model", default="")
    parser.add_argument("--slides-only", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM2_SESSIONS"] = folder
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder) / "settings.yaml"))
        if not given.slides_only:
            walk(given.out, given.model, Path(folder))
        walk_slide(given.out, Path(folder))


def walk(pictures: Path, model: str, folder: Path) -> None:
    from qtpy.QtCore import Qt
    from tests.plugin.driving import CONTROL, QTest, canvas, canvas_position, pump

    w = Walk(pictures, model)
    w.picture("01-open")
    first = w.box("spleen")
    w.picture("02-box")
    w.press(Qt.Key.Key_G)
    w.wait(lambda: w.controller.work.run.running or "Propagated" in w.controller.workspace.status)
    w.wait(lambda: len(w.controller.work.object(1).slices) > 8 or not w.controller.work.run.running)
    w.viewer.window.screenshot(str(pictures / "03-propagating.png"), canvas_only=False, flash=False)
    w.settle()
    w.picture("04-propagated")
    print(f"          Dice of the spleen before review {w.dice('spleen', 1):.3f}")
    for number in range(5):
        w.press(Qt.Key.Key_J)
        w.settle()
        if number == 0:
            w.picture("05-next-doubt")
        if w.correct("spleen", 1) and number == 0:
            w.picture("06-corrected")
        w.press(Qt.Key.Key_K)
        w.settle()
    w.picture("07-accepted")
    print(f"          Dice of the spleen after five slices of review {w.dice('spleen', 1):.3f}")
    w.controller.name_object(1, "spleen")
    w.controller.work.view.go_to(2, first)
    w.press(Qt.Key.Key_N)
    w.press(Qt.Key.Key_H)
    liver = w.truth == w.ids["liver"]
    i, j = (int(np.median(x)) for x in np.nonzero(liver[:, :, first]))
    QTest.mouseMove(canvas(w.viewer), canvas_position(w.viewer, w.world((i, j, first))))
    w.settle()
    pump(0.3)
    w.picture("08-hover")
    w.press(Qt.Key.Key_H)
    w.box("liver")
    w.controller.name_object(2, "liver")
    w.settle()
    w.press(Qt.Key.Key_G)
    w.settle()
    w.picture("09-two-objects")
    w.press(Qt.Key.Key_Z, CONTROL)
    w.settle()
    w.picture("10-undone")
    w.press(Qt.Key.Key_9)
    w.settle()
    w.picture("11-coronal")
    w.panel.scans.saving.suggest(folder / "ct_abdomen_labels.nii.gz")
    QTest.mouseClick(w.panel.scans.saving.save, Qt.MouseButton.LeftButton)
    w.clicks += 1
    w.settle()
    w.picture("12-saved")
    print(f"{w.clicks} clicks or drags, {w.keys} keys, {time.perf_counter() - w.began:.0f} s with pauses for pictures")
    w.viewer.close()


if __name__ == "__main__":
    main()
