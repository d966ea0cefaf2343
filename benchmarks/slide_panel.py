"""Measure the panel on a slide in a real window: time to open, press to drawn outline at three zooms, memory.

    xvfb-run -a python benchmarks/slide_panel.py phantom.ome.tif [--model NAME] [--clicks 5]

`phantom.ome.tif` comes from ``benchmarks/slide_phantom.py``. The same is measured on a picture of 2,000 x 2,000
pixels, each in a process of its own. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

RADII = (60, 400, 3000)
OBJECT_SHARE = 0.25
"""Part of the canvas that an object takes when it is clicked on."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--here", action="store_true", help="measure this file only, in this process")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM2_SESSIONS"] = folder
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder) / "settings.yaml"))
        if given.here:
            print(json.dumps(measure(given.slide, given.model, given.clicks)))
            return
        for path in (given.slide, small_picture(Path(folder))):
            command = [sys.executable, __file__, str(path), "--model", given.model, "--clicks", str(given.clicks)]
            run = subprocess.run([*command, "--here"], capture_output=True, text=True, check=False)
            if run.returncode:
                sys.exit(run.stderr)
            tell(path.name, json.loads(run.stdout.splitlines()[-1]))


def small_picture(folder: Path) -> Path:
    """2,000 x 2,000 pixels with discs, and their outlines beside it as the phantom has them."""
    import shapely
    from PIL import Image

    from napari_sam2.slides.formats.geojson import write_geojson
    from napari_sam2.slides.objects import SlideObject

    pixels = np.full((2000, 2000, 3), 230, dtype=np.uint8)
    rows, cols = np.ogrid[:2000, :2000]
    discs = [(200, 200 + 250 * n, 60) for n in range(5)] + [(1200, 1200, 400)]
    for row, col, radius in discs:
        pixels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = (150, 84, 158)
    pixels += np.random.default_rng(0).integers(0, 12, size=pixels.shape, dtype=np.uint8)
    path = folder / "small.png"
    Image.fromarray(pixels).save(path)
    outlines = [
        SlideObject(shapely.Point(col + 0.5, row + 0.5).buffer(radius), measurements={"radius px": radius})
        for row, col, radius in discs
    ]
    write_geojson(outlines, folder / "small.png.truth.geojson")
    return path


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, model: str, n_clicks: int) -> dict:
    import napari
    from napari.layers import Layer
    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import QTimer
    from tests.plugin.driving import LEFT, QTest, canvas, canvas_position, pump, wait_for

    from napari_sam2.plugin.control.models import ModelChoice
    from napari_sam2.plugin.slide.reader import read_slide_layers
    from napari_sam2.slides.formats.geojson import read_geojson

    notification_manager.__enter__()
    viewer = napari.Viewer()
    viewer.window.resize(1300, 850)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    controller = panel.controller
    if model:
        controller.use_model(ModelChoice(model, "cpu"))
    wait_for(lambda: controller.thread.idle, 120)
    pump(0.5)
    drawn: list[float] = []
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(lambda _: drawn.append(time.perf_counter()))
    found: dict = {"base_mib": peak_mib()}

    began = time.perf_counter()
    image = viewer.add_layer(Layer.create(*read_slide_layers(path)[0]))
    wait_for(lambda: any(d > began for d in drawn))
    found["shown_s"] = time.perf_counter() - began
    controller.use_image(image)
    wait_for(lambda: controller.work is not None, 120)
    found["ready_s"] = time.perf_counter() - began
    pump(0.5)
    work = controller.work
    truth = read_geojson(path.with_name(path.name + ".truth.geojson"))
    changed: list[float] = []
    work.result.layer.events.set_data.connect(lambda _: changed.append(time.perf_counter()))

    gaps: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    rows = []
    for radius in RADII:
        for obj in [o for o in truth if o.measurements.get("radius px") == radius][:n_clicks]:
            outline = obj.geometry
            col0, row0, col1, row1 = outline.bounds
            viewer.scene.camera.center = image.data_to_world(((row0 + row1) / 2, (col0 + col1) / 2))
            size = max(row1 - row0, col1 - col0) * image.scale[0]
            viewer.scene.camera.zoom = min(viewer.canvas.size) * OBJECT_SHARE / size
            if work.current_object is not None:
                controller.do("next_object")
            pump(1.0)
            place = outline.representative_point()
            at = canvas_position(viewer, image.data_to_world((place.y, place.x)))
            QTest.mouseMove(canvas(viewer), at)
            pump(0.2)
            n_objects, n_changes = len(work.snapshot.objects), len(changed)
            gaps.clear()
            last[0] = began = time.perf_counter()
            timer.start(0)
            QTest.mouseClick(canvas(viewer), LEFT, pos=at)
            wait_for(lambda n=n_objects: len(work.snapshot.objects) > n or controller.thread.idle, 60)
            wait_for(lambda n=n_changes: len(changed) > n and any(d > changed[-1] for d in drawn), 10)
            seconds = next(d for d in drawn if d > changed[n_changes]) - began
            pump(0.2)
            timer.stop()
            got = work.current_object.geometry
            iou = got.intersection(outline).area / got.union(outline).area
            rows.append({"radius": radius, "s": seconds, "iou": iou, "gap_s": max(gaps)})
    found |= {"clicks": rows, "peak_mib": peak_mib()}
    viewer.close()
    return found


def tell(name: str, found: dict) -> None:
    print(f"{name}: shown after {found['shown_s']:.2f} s, ready for clicks after {found['ready_s']:.2f} s")
    for radius in RADII:
        rows = [r for r in found["clicks"] if r["radius"] == radius]
        if rows:
            seconds, ious, gaps = (np.array([r[k] for r in rows]) for k in ("s", "iou", "gap_s"))
            print(
                f"  radius {radius:5d} px, n={len(rows)}: press to drawn {np.median(seconds) * 1000:5.0f} ms "
                f"(most {seconds.max() * 1000:.0f}), IoU {np.median(ious):.3f} (least {ious.min():.3f}), "
                f"longest event-loop gap {gaps.max() * 1000:.0f} ms"
            )
    print(f"  peak memory {found['peak_mib']:.0f} MiB, of which {found['base_mib']:.0f} before the slide")


if __name__ == "__main__":
    main()
