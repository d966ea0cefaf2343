"""Two days in a real window, with real mouse and keys: a story that is repeated and measured.

    xvfb-run -a -s "-screen 0 1920x1200x24" python benchmarks/day.py [--out FOLDER] [--theme dark] [--size 1090x655]

Day one: open, box four organs, carry them, save, close. Day two: open the saved labels, correct one, add one, export;
the same from a label map of another program; a second scan; a process that is killed, and its work found again.
Prints clicks, keys and seconds of each chapter, and leaves a picture of each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

ORGANS = ("spleen", "left kidney", "right kidney", "liver")


class Day:
    """One window, its clock, and what the hand did."""

    def __init__(self, scan: Path, out: Path, given: argparse.Namespace, labels: Path | None = None) -> None:
        import napari
        from napari.layers import Layer
        from napari.settings import get_settings
        from tests.plugin.driving import pump, wait_for

        from napari_sam2.io import read_volume
        from napari_sam2.plugin.control.registry import controller_for
        from napari_sam2.plugin.reader import image_layer

        get_settings().appearance.theme = given.theme
        self.out, self.given = out, given
        self.clicks = self.keys = 0
        self.began = time.perf_counter()
        self.viewer = napari.Viewer()
        self.viewer.add_layer(Layer.create(*image_layer(read_volume(scan))))
        _, self.panel = self.viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
        width, height = (int(n) for n in given.size.split("x"))
        self.viewer.window.resize(width, height)
        self.controller = controller_for(self.viewer)
        if labels is not None:
            self.controller.open_labels(labels)
        wait_for(lambda: self.controller.work is not None, 120)
        pump(0.3)
        self.settle()
        self.opened = time.perf_counter() - self.began

    @property
    def work(self):
        return self.controller.work

    def settle(self) -> None:
        from tests.plugin.driving import pump, wait_for

        def is_done() -> bool:
            return self.work is not None and self.controller.thread.idle and not self.work.run.running

        wait_for(is_done, 300)
        pump(0.2)

    def picture(self, name: str) -> None:
        from tests.plugin.driving import pump

        pump(0.2)
        path = self.out / f"{name}-{self.given.theme}-{self.given.size}.png"
        self.viewer.window.screenshot(str(path), canvas_only=False, flash=False)
        spent, said = time.perf_counter() - self.began, self.controller.workspace.status
        print(f"{spent:6.1f} s  {self.clicks:2d} clicks {self.keys:2d} keys  {name:20s} {said}")

    def world(self, voxel):
        return self.work.image.data_to_world(self.work.shown.grid.to_data(voxel)[0])

    def press(self, key, modifiers=None) -> None:
        from tests.plugin.driving import NO_KEY, press

        press(self.viewer, key, NO_KEY if modifiers is None else modifiers)
        self.keys += 1

    def box(self, inside) -> None:
        from tests.plugin.driving import SHIFT, drag

        k = int(inside.sum((0, 1)).argmax())
        self.work.view.go_to(2, k)
        i, j = np.nonzero(inside[:, :, k])
        drag(
            self.viewer,
            self.world((i.min() - 1, j.min() - 1, k)),
            self.world((i.max() + 1, j.max() + 1, k)),
            keys=SHIFT,
        )
        self.clicks += 1
        self.settle()

    def click(self, voxel, button) -> None:
        from tests.plugin.driving import click

        self.work.view.go_to(2, int(voxel[2]))
        click(self.viewer, self.world(voxel), button=button)
        self.clicks += 1
        self.settle()

    def save(self, path: Path, kind: str = "") -> None:
        from tests.plugin.driving import LEFT, QTest

        kinds = self.panel.scans.saving.kinds
        number = next(
            n for n in range(kinds.count()) if kinds.itemData(n)[1] == kind and path.name.endswith(kinds.itemData(n)[0])
        )
        kinds.setCurrentIndex(number)
        self.panel.scans.saving.suggest(path)
        QTest.mouseClick(self.panel.scans.saving.save, LEFT)
        self.clicks += 2
        self.settle()

    def close(self) -> None:
        from tests.plugin.driving import pump

        self.controller.close()
        self.viewer.close()
        pump(0.2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("day"))
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--size", default="1090x655")
    parser.add_argument("--killed", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.killed is not None:
        _until_killed(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM2_SESSIONS"] = str(Path(folder) / "sessions")
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        _tell(Path(folder), given)


def _tell(folder: Path, given: argparse.Namespace) -> None:
    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import Qt
    from tests.plugin.driving import LEFT, RIGHT

    from napari_sam2.io import read_labels, read_volume
    from napari_sam2.plugin.control.earlier import earlier_works, open_earlier
    from napari_sam2.sample_data import sample

    notification_manager.__enter__()
    source, labels, names = sample("ct_abdomen")
    scan = Path(shutil.copy(source, folder / "ct.nii.gz"))
    truth = read_labels(labels, read_volume(scan))
    ids = {name: number for number, name in names.items()}
    organs = [name for name in ORGANS if name in ids][:4]

    day = Day(scan, given.out, given)
    print(f"window to the first picture and an open scan: {day.opened:.1f} s")
    day.picture("1-opened")
    for number, name in enumerate(organs, start=1):
        if number > 1:
            day.press(Qt.Key.Key_N)
        day.box(truth == ids[name])
        day.controller.name_object(number, name)
        day.press(Qt.Key.Key_G)
        day.settle()
    day.picture("2-four-organs")
    day.save(folder / "ct_labels.nii.gz")
    day.picture("3-saved")
    print("          Dice", {n: round(_dice(day, i, truth == ids[n]), 3) for i, n in enumerate(organs, start=1)})
    day.close()

    day = Day(scan, given.out, given, folder / "ct_labels.nii.gz")
    day.picture("4-next-day")
    found = day.work.shown.grid.stored(day.work.result.layer.data)
    wrong = (truth == ids[organs[0]]) & (found != 1)
    if wrong.any():
        day.click(_deepest(wrong), LEFT)
    extra = (found == 1) & (truth != ids[organs[0]])
    if extra.any():
        day.click(_deepest(extra), RIGHT)
    day.picture("5-corrected")
    day.press(Qt.Key.Key_N)
    day.box(truth == ids[organs[-1]])
    day.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    day.settle()
    day.press(Qt.Key.Key_7)
    day.picture("6-three-planes")
    day.press(Qt.Key.Key_7)
    day.save(folder / "ct.seg.nrrd")
    day.picture("7-exported")
    day.close()

    day = Day(scan, given.out, given, Path(labels))
    day.picture("8-foreign-labels")
    second = read_volume(sample("mr_spine")[0])
    from napari.layers import Layer

    from napari_sam2.plugin.reader import image_layer

    day.viewer.add_layer(Layer.create(*image_layer(second)))
    day.settle()
    day.picture("9-two-scans")
    day.close()

    command = [sys.executable, __file__, "--killed", str(scan), "--out", str(given.out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    newest = earlier_works()[0]
    day = Day(scan, given.out, given)
    open_earlier(day.controller, newest, newest.path)
    day.settle()
    print(f"          after the kill: {len(day.work.snapshot.objects)} object(s) are back")
    day.picture("10-after-a-kill")
    day.close()


def _until_killed(given: argparse.Namespace) -> None:
    """A window that boxes something and waits for its end."""
    given.theme, given.size = "dark", "1090x655"
    day = Day(given.killed, given.out, given)
    day.box(np.pad(np.ones((12, 12, 1), dtype=bool), [(60, 20), (40, 20), (50, 0)]))
    print("boxed", flush=True)
    time.sleep(600)


def _dice(day: Day, object_id: int, inside) -> float:
    found = day.work.shown.grid.stored(day.work.result.layer.data) == object_id
    return 2 * float((found & inside).sum()) / float(found.sum() + inside.sum())


def _deepest(mask) -> tuple[int, ...]:
    from scipy.ndimage import distance_transform_edt

    return tuple(int(n) for n in np.unravel_index(distance_transform_edt(mask).argmax(), mask.shape))


if __name__ == "__main__":
    main()
