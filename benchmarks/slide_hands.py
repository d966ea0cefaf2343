"""A hundred nuclei of two classes by hand, in a real window: how many actions, and how long.

    xvfb-run -a python benchmarks/slide_hands.py [--model bundled] [--pictures FOLDER]

Three ways, with real mouse and key events; a press of a key, a click and a drag are an action each:

- *menus*: a click and N for each nucleus, its class chosen from the list where it differs from the last one;
- *keys*: one by one (O), a click for each nucleus, its number key where the class differs from the last one;
- *found*: three clicks, *Find objects* of that size, then a click and a key for those of the rarer class.

The tissue is that of `nuclei_region.py`, with nuclei of two colours. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).parents[1]))

STEP, HALF = 56, 12
ACROSS = 10
COLOURS = (110, 70, 150), (60, 110, 90)
NAMES = "Tumor", "Stroma"


def tissue():
    """RGB picture, outlines and classes (0 or 1) of a hundred nuclei."""
    chance = np.random.default_rng(0)
    side = STEP * (ACROSS + 1)
    pixels = np.empty((side, side, 3), dtype=np.uint8)
    pixels[:] = (225, 170, 205)
    kinds = chance.permutation(np.arange(ACROSS**2) % 5 < 2).astype(int)
    outlines = []
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rows, cols = np.ogrid[-HALF : HALF + 1, -HALF : HALF + 1]
    for number, kind in enumerate(kinds):
        r, c = (STEP * (n + 1) + int(chance.integers(-12, 13)) for n in divmod(number, ACROSS))
        turn = chance.uniform(0, np.pi)
        long, short = rows * np.cos(turn) + cols * np.sin(turn), cols * np.cos(turn) - rows * np.sin(turn)
        inside = (long / HALF) ** 2 + (short / (0.7 * HALF)) ** 2 <= 1
        pixels[r - HALF : r + HALF + 1, c - HALF : c + HALF + 1][inside] = COLOURS[kind]
        along, across = HALF * np.cos(angle), 0.7 * HALF * np.sin(angle)
        y, x = along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)
        outlines.append(shapely.Polygon(np.stack([c + 0.5 + x, r + 0.5 + y], axis=1)))
    noisy = np.clip(pixels + chance.normal(0, 6, size=pixels.shape), 0, 255).astype(np.uint8)
    return noisy, outlines, kinds


class Hands:
    """A window, and what a person does in it, counted."""

    def __init__(self, pixels, model):
        import napari
        from tests.plugin.driving import pump, wait_for

        from napari_sam2.plugin.control.models import ModelChoice

        self.actions = 0
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1300, 950)
        _, self.panel = self.viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
        self.controller = self.panel.controller
        self.controller.use_model(ModelChoice(model, "cpu"))
        self.image = self.viewer.add_image(pixels, rgb=True, name="nuclei")
        self.controller.use_image(self.image)
        wait_for(lambda: self.controller.work is not None, 120)
        self.settle()
        pump(0.5)

    @property
    def work(self):
        return self.controller.work

    def settle(self):
        from tests.plugin.driving import pump, wait_for

        wait_for(lambda: self.controller.thread.idle and not self.controller.thread.queue.waiting, 300)
        pump(0.2)

    def click(self, outline):
        """On a nucleus; waits for its answer as a person does."""
        from tests.plugin.driving import click, wait_for

        self.actions += 1
        place = outline.centroid
        click(self.viewer, self.image.data_to_world((place.y - 0.5, place.x - 0.5)))
        wait_for(lambda: self.controller.thread.idle and not self.controller.thread.queue.waiting)

    def press(self, key):
        from tests.plugin.driving import press

        self.actions += 1
        press(self.viewer, key)

    def on(self, widget, at=None):
        """A click on a widget of the panel."""
        from tests.plugin.driving import LEFT, NO_KEY, QTest, pump

        self.actions += 1
        QTest.mouseClick(widget, LEFT, NO_KEY, widget.rect().center() if at is None else at)
        pump(0.05)

    def choose(self, box, text):
        """An entry of a list: a click opens it, another one takes the entry."""
        from qtpy.QtCore import QPoint
        from tests.plugin.driving import pump, wait_for

        self.on(box, QPoint(box.width() - 8, box.height() // 2))
        wait_for(box.view().isVisible)
        # Qt takes a second click so soon for one that opened the list.
        pump(0.6)
        index = box.model().index(box.findText(text), 0)
        self.on(box.view().viewport(), box.view().visualRect(index).center())
        wait_for(lambda: not box.view().isVisible())

    def picture(self, path):
        from PIL import Image

        self.settle()
        Image.fromarray(self.viewer.window.screenshot(canvas_only=False, flash=False)[..., :3]).save(path)


def by_menus(hands, outlines, kinds):
    from qtpy.QtCore import Qt

    last = None
    for number, (outline, kind) in enumerate(zip(outlines, kinds, strict=True)):
        if number:
            hands.press(Qt.Key.Key_N)
        hands.click(outline)
        if kind != last:
            hands.choose(hands.panel.slides.classes.names, NAMES[kind])
        last = kind


def by_keys(hands, outlines, kinds):
    from qtpy.QtCore import Qt

    keys, last = (Qt.Key.Key_1, Qt.Key.Key_2), None
    hands.press(Qt.Key.Key_O)
    for outline, kind in zip(outlines, kinds, strict=True):
        hands.click(outline)
        if kind != last:
            hands.press(keys[kind])
        last = kind


def by_finding(hands, outlines, kinds):
    from qtpy.QtCore import Qt
    from tests.plugin.driving import QTest, wait_for

    box = hands.panel.slides.automatic
    hands.press(Qt.Key.Key_O)
    hands.press(Qt.Key.Key_1)
    for outline in outlines[:3]:
        hands.click(outline)
    hands.on(box.toggleButton())
    hands.panel.scroll.ensureWidgetVisible(box.find)
    hands.choose(box.what, "nuclei")
    hands.choose(box.where, "what is on screen")
    hands.on(box.size)
    for key in (Qt.Key.Key_End, Qt.Key.Key_Backspace):
        QTest.keyClick(box.size, key)
    hands.actions += 1
    box.size.clear()
    QTest.keyClick(box.size, Qt.Key.Key_Return)
    hands.on(box.find)
    wait_for(lambda: len(hands.work.snapshot.objects) > 3 and not hands.work.run.running, 300)
    hands.settle()
    for outline, kind in zip(outlines, kinds, strict=True):
        if kind:
            hands.click(outline)
            hands.press(Qt.Key.Key_2)


def judged(objects, outlines, kinds):
    """Nuclei that an object has at an IoU above a half; those with the right class; objects in all."""
    hits = right = 0
    for outline, kind in zip(outlines, kinds, strict=True):
        ious = [(o.geometry.intersection(outline).area / o.geometry.union(outline).area, o) for o in objects]
        iou, best = max(ious, key=lambda entry: entry[0])
        hits += iou > 0.5
        right += iou > 0.5 and best.class_name == NAMES[kind]
    return hits, right, len(objects)


WAYS = {"menus": by_menus, "keys": by_keys, "found": by_finding}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--way", choices=WAYS, help="this way only, in this process")
    options = parser.parse_args()
    if options.way is None:
        print(
            "| way | actions | nuclei at IoU 0.5 | with their class | objects | seconds |\n|---|---|---|---|---|---|",
            flush=True,
        )
        for way in WAYS:
            # A window of its own for each, as a person has.
            subprocess.run([sys.executable, *sys.argv, "--way", way], check=True)
        return
    pixels, outlines, kinds = tissue()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM2_SESSIONS"] = folder
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder) / "settings.yaml"))
        hands = Hands(pixels, options.model)
        began = time.perf_counter()
        WAYS[options.way](hands, outlines, kinds)
        hands.settle()
        seconds = time.perf_counter() - began
        hits, right, count = judged(hands.work.snapshot.objects, outlines, kinds)
        print(f"| {options.way} | {hands.actions} | {hits} | {right} | {count} | {seconds:.0f} |", flush=True)
        if options.pictures is not None:
            hands.picture(options.pictures / f"slide-hands-{options.way}.png")
        hands.viewer.close()


if __name__ == "__main__":
    main()
