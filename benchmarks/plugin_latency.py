"""Measure the panel in a real window: press-to-drawn of clicks and hovers, event-loop gaps of a run.

xvfb-run -a python benchmarks/plugin_latency.py [--model NAME] [--clicks 30, 0 for the run alone]

The same previews and the same run are asked of a session without a window right before and after, in the same process,
so that what the window itself costs is a ratio, whatever else the machine does; on a busy one the ratio of processor
times is the one to look at.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="")
    parser.add_argument("--clicks", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_SAM2_SESSIONS"] = folder
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder) / "settings.yaml"))
        measure(given.model, given.clicks)


def measure(model: str, n_clicks: int) -> None:
    import napari
    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import QTimer
    from tests.plugin.driving import SHIFT, QTest, canvas, canvas_position, click, drag, pump, wait_for

    from napari_sam2.plugin.control.models import ModelChoice

    notification_manager.__enter__()
    opened = time.perf_counter()
    viewer = napari.Viewer()
    viewer.window.resize(1300, 850)
    viewer.open_sample("napari-sam2", "ct_abdomen")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    controller = panel.controller
    pump(0.01)
    print(f"window to first picture {time.perf_counter() - opened:.1f} s")
    wait_for(lambda: controller.work is not None)
    if model:
        controller.use_model(ModelChoice(model, "cpu"))
    wait_for(lambda: controller.thread.idle)
    pump(0.5)
    annotation = controller.work
    voxels = [(75 + i, 45 + j) for i, j in np.random.default_rng(1).integers(-10, 10, (n_clicks, 2)).tolist()]
    bare = headless_previews(annotation, voxels)
    drawn, painted = [], []
    annotation.result.layer.events.set_data.connect(lambda _: painted.append(time.perf_counter()))
    viewer.layers.events.inserted.connect(
        lambda event: event.value.events.set_data.connect(lambda _: painted.append(time.perf_counter()))
    )
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(lambda _: drawn.append(time.perf_counter()))

    def world(i, j, k):
        return annotation.image.data_to_world(annotation.shown.grid.to_data((i, j, k))[0])

    def until_drawn(ready):
        """Time of the first frame after the layer got its new mask."""
        n = len(painted)
        wait_for(ready)
        wait_for(lambda: len(painted) > n and any(d >= painted[n] for d in drawn), 5)
        return next(d for d in drawn if d >= painted[n])

    rng = np.random.default_rng(0)
    controller.work.view.go_to(2, 100)
    pump(0.5)
    clicks = []
    for number in range(n_clicks):
        if number % 5 == 0:
            controller.do("next_object")
            pump(0.3)
        obj = controller.work.current
        before = len(annotation.object(obj).prompts)
        i, j = 75 + rng.integers(-8, 8), 45 + rng.integers(-8, 8)
        at = canvas_position(viewer, world(i, j, 100))
        QTest.mouseMove(canvas(viewer), at)
        pump(0.1)
        began = time.perf_counter()
        click(viewer, world(i, j, 100))
        clicks.append(until_drawn(lambda: len(annotation.object(obj).prompts) > before) - began)
        wait_for(lambda: controller.thread.idle and not controller.work.run.running)
    # The helper itself waits 20 ms between moving the mouse and pressing.
    tell("click, press to drawn", np.array(clicks) * 1000 - 20)

    controller.do("next_object")
    controller.do("toggle_preview")
    pump(0.3)
    hovers = []
    for i, j in voxels:
        asked = controller.work.pointer.preview.n_shown
        began = time.perf_counter()
        QTest.mouseMove(canvas(viewer), canvas_position(viewer, world(i, j, 100)))
        try:
            hovers.append(until_drawn(lambda: controller.work.pointer.preview.n_shown > asked) - began)
        except AssertionError:
            continue
        pump(0.05)
    tell("hover, move to drawn", np.array(hovers) * 1000)
    controller.do("toggle_preview")
    bare += headless_previews(annotation, voxels)
    if bare:
        seconds, worked = np.array(bare).T
        tell("the same without a window", seconds * 1000)
        tell("its processor time", worked * 1000)
        print(f"{'hover, window against none':34s} {np.median(hovers) / np.median(seconds):.2f} x")

    gaps, last = [], [time.perf_counter()]

    def tick():
        now = time.perf_counter()
        gaps.append(now - last[0])
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    drag(viewer, world(62, 30, 100), world(100, 75, 100), keys=SHIFT)
    wait_for(lambda: annotation.object(controller.work.current).slices)
    wait_for(lambda: controller.thread.idle)
    pump(0.5)
    runs = [headless_run(annotation)]
    began, worked = time.perf_counter(), time.process_time()
    controller.do("propagate_both")
    wait_for(lambda: not controller.work.run.running and controller.thread.idle, 1800)
    runs.append((time.perf_counter() - began, time.process_time() - worked))
    runs.append(headless_run(annotation))
    for what, (before, seen, after) in zip(("", ", processor time"), zip(*runs, strict=True), strict=True):
        took = f"none, window, none: {before:.1f}, {seen:.1f}, {after:.1f} s"
        print(f"{'run, window against none' + what:40s} {2 * seen / (before + after):.2f} x ({took})")
    controller.do("undo")
    wait_for(lambda: controller.thread.idle)
    pump(0.5)
    timer.start(0)
    pump(0.5)
    gaps.clear()
    last[0] = time.perf_counter()
    controller.do("propagate_both")
    from qtpy.QtWidgets import QApplication

    while controller.work.run.running:
        QApplication.processEvents()
    timer.stop()
    tell("event-loop gap while propagating", np.array(gaps) * 1000)
    print(controller.workspace.status)
    controller.close()
    viewer.close()


def bare_session(annotation):
    """A session on the same scan, with the same model and window."""
    from napari_sam2.session.session import Session

    own = annotation.stream_session()
    return Session(annotation.shown.volume, own.model, window=own.window)


def headless_previews(annotation, voxels):
    """Seconds, and seconds of processor time, of each preview that a session without a window gives."""
    from napari_sam2.session.glancing import glance_at

    session, spent = bare_session(annotation), []
    side = glance_at(session.state, 1, (75.0, 45.0, 100.0), 2).side
    for i, j in voxels:
        began, worked = time.perf_counter(), time.process_time()
        side = glance_at(session.state, 1, (float(i), float(j), 100.0), 2, side).side
        spent.append((time.perf_counter() - began, time.process_time() - worked))
    return spent


def headless_run(annotation):
    """Seconds, and seconds of processor time, of the current object's run in a session without a window."""
    session = bare_session(annotation)
    session.set_prompts(1, annotation.object(annotation.current).prompts)
    began, worked = time.perf_counter(), time.process_time()
    for _ in session.propagate([1]):
        pass
    return time.perf_counter() - began, time.process_time() - worked


def tell(what: str, milliseconds) -> None:
    if len(milliseconds):
        median, p95 = np.median(milliseconds), np.percentile(milliseconds, 95)
        most = milliseconds.max()
        print(f"{what:34s} n={len(milliseconds):5d} median {median:6.1f} ms  p95 {p95:6.1f}  max {most:6.1f}")


if __name__ == "__main__":
    main()
