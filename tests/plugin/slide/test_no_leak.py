"""After a window is closed, nothing of a slide, its session or the panel's parts stays in memory."""

from __future__ import annotations

import weakref

from napari_sam2.plugin.control.models import ModelChoice
from tests.plugin.driving import pump, wait_for
from tests.plugin.slide.conftest import DISCS, corners_of, world_of
from tests.plugin.test_no_leak import PANEL, PLUGIN, left_of


def work_in(viewer, pixels):
    """Outline, preview, refine, undo on a picture; weak references to whatever is large."""
    image = viewer.add_image(pixels.copy(), rgb=True)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    controller = panel.controller
    controller.use_model(ModelChoice("classical", "cpu"))
    wait_for(lambda: controller.work is not None)
    work = controller.work

    def settled():
        wait_for(lambda: controller.thread.idle and not controller.thread.queue.waiting)
        pump(0.2)

    low, high = corners_of(1)
    controller.work.pointer.box_between(world_of(image, *low), world_of(image, *high))
    settled()
    controller.do("toggle_preview")
    controller.work.pointer.hover_at(world_of(image, *DISCS[0][:2]))
    settled()
    controller.do("refine_object")
    settled()
    controller.work.run.find("view", "60 px")
    pump(0.2)
    controller.do("stop")
    settled()
    controller.do("undo")
    settled()
    session = work.stream_session()
    return {
        "slide": weakref.ref(session.slide),
        "session": weakref.ref(session),
        "engine": weakref.ref(session.engine),
        "model": weakref.ref(session.engine.model),
        "outlines": weakref.ref(work.result),
        "work": weakref.ref(work),
        "parts": weakref.ref(panel.slides),
        "panel": weakref.ref(panel),
        "controller": weakref.ref(controller),
    }


def test_closing_the_window_frees_the_work_on_a_slide(make_napari_viewer, disc_pixels):
    viewer = make_napari_viewer(show=True)
    kept = work_in(viewer, disc_pixels)
    viewer.close()
    assert left_of(kept) == ["controller"]
