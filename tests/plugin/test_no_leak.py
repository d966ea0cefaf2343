"""After a window is closed, nothing of a scan, a model or the controller stays in memory."""

from __future__ import annotations

import gc
import weakref

from napari_sam2.plugin.reader import read
from napari_sam2.sample_data import sample
from tests.plugin.driving import pump, wait_for

PLUGIN, PANEL = "napari-sam2", "Segment with SAM 2"


def work_in(viewer, path):
    """Open a scan, segment, propagate, preview, check, undo; weak references to whatever is large."""
    array, arguments, _ = read(str(path))[0]
    viewer.add_image(array, **arguments)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    controller = panel.controller
    wait_for(lambda: controller.work is not None)
    annotation = controller.work
    voxel = (40, 60, 40)
    controller.work.view.go_to(2, voxel[2])

    def settled():
        wait_for(lambda: controller.thread.idle and not controller.work.run.running)
        pump(0.2)

    def at(*offset):
        pointed = [v + o for v, o in zip(voxel, offset, strict=True)]
        return annotation.image.data_to_world(annotation.shown.grid.to_data(pointed)[0])

    controller.do("toggle_preview")
    controller.pointer.hover_at(at(0, 0, 0))
    settled()
    controller.pointer.box_between(at(-15, -15, 0), at(15, 15, 0))
    settled()
    controller.work.range.set(2, 36, 44, annotation.shown.volume.shape[2])
    controller.do("propagate_both")
    settled()
    controller.do("check_planes")
    settled()
    controller.do("take_consensus")
    settled()
    controller.do("undo")
    settled()
    session = annotation.stream_session()
    engine = session.engine(2)
    assert engine.features.n_encoded > 3
    return {
        "voxels": weakref.ref(array),
        "volume": weakref.ref(annotation.shown.volume),
        "labels": weakref.ref(annotation.result.layer.data),
        "session": weakref.ref(session),
        "engine": weakref.ref(engine),
        "features": weakref.ref(engine.features),
        "model": weakref.ref(session.model),
        "annotation": weakref.ref(annotation),
        "controller": weakref.ref(controller),
        "panel": weakref.ref(panel),
    }


def left_of(kept):
    pump(0.5)
    for _ in range(3):
        gc.collect()
    return sorted(name for name, ref in kept.items() if ref() is not None)


def test_closing_the_window_frees_scan_features_and_model_even_if_the_viewer_is_kept(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    kept = work_in(viewer, sample("ct_abdomen")[0])
    viewer.close()
    assert left_of(kept) == ["controller"]


def test_the_controller_goes_with_the_viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    kept = work_in(viewer, sample("ct_abdomen")[0])
    kept["viewer"] = weakref.ref(viewer)
    viewer.close()
    del viewer
    assert left_of(kept) == []


def test_removing_the_image_frees_it_while_the_window_stays_open(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    kept = work_in(viewer, sample("ct_abdomen")[0])
    viewer.layers.clear()
    assert left_of(kept) == ["controller", "model", "panel"]
