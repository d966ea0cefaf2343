"""The pictures of docs/slides.md: a slide made on the spot, outlined in a real napari window."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

ROWS, COLS = 12_000, 15_000


def walk_slide(pictures: Path, folder: Path) -> None:
    """Open, box, click, class, look at the table, edit a vertex; a picture of each."""
    import napari
    from benchmarks.slide_phantom import Phantom, write_slide
    from qtpy.QtCore import Qt
    from tests.plugin.driving import (
        LEFT,
        RIGHT,
        SHIFT,
        QTest,
        canvas,
        canvas_position,
        click,
        drag,
        press,
        pump,
        wait_for,
    )

    path = folder / "biopsy.ome.tif"
    phantom = Phantom(ROWS, COLS, [], seed=3)
    write_slide(phantom, path)
    viewer = napari.Viewer()
    viewer.window.resize(1400, 950)
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    viewer.open(path, plugin="napari-sam2")
    controller, parts = panel.controller, panel.slides
    controller.use_image(viewer.layers["biopsy.ome.tif"])
    wait_for(lambda: controller.work is not None)
    image = viewer.layers["biopsy.ome.tif"]
    viewer.canvas.overlays.scale_bar.visible = True
    viewer.reset_view()

    def settle():
        wait_for(lambda: controller.thread.idle and not controller.thread.queue.waiting)
        pump(0.5)

    def picture(name):
        settle()
        parts.saving.path.setText("biopsy.geojson")
        shot = viewer.window.screenshot(canvas_only=False, flash=False)
        # Tissue does not compress; a palette of 256 colours that keeps rare ones looks the same at a fifth of the size.
        Image.fromarray(shot[..., :3]).quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            pictures / f"{name}.png", optimize=True
        )
        print(f"{name:22s} {controller.workspace.status}")

    def world(row, col):
        return image.data_to_world((row, col))

    def look_at(gland, share):
        viewer.scene.camera.center = world(gland.row, gland.col)
        viewer.scene.camera.zoom = min(viewer.canvas.size) * share / (2 * gland.radius * image.scale[0])
        settle()

    def box(gland):
        col0, row0, col1, row1 = gland.outline().bounds
        drag(viewer, world(row0 - 8, col0 - 8), world(row1 + 8, col1 + 8), keys=SHIFT)
        settle()

    def give_class(name):
        parts.classes.names.setCurrentIndex(parts.classes.names.findText(name))
        parts.classes.names.activated.emit(parts.classes.names.currentIndex())
        settle()

    large = [g for g in phantom.glands if g.radius == 400]
    middle = [g for g in phantom.glands if g.radius == 150]
    picture("slide-01-overview")

    first = large[0]
    look_at(first, 0.45)
    click(viewer, world(first.row, first.col))
    settle()
    click(viewer, world(first.row - 1.25 * first.radius, first.col), button=RIGHT)
    picture("slide-02-click")

    give_class("Tumor")
    others = sorted(middle + large[1:], key=lambda g: (g.row - first.row) ** 2 + (g.col - first.col) ** 2)[:9]
    for number, gland in enumerate(others):
        press(viewer, Qt.Key.Key_N)
        look_at(gland, 0.3)
        box(gland)
        give_class(("Tumor", "Stroma", "Other")[number % 3])
    for _ in range(2):
        press(viewer, Qt.Key.Key_J)
        settle()
        press(viewer, Qt.Key.Key_K)
        settle()
    parts.table.sortByColumn(3, Qt.SortOrder.AscendingOrder)
    middle_of = np.mean([(g.row, g.col) for g in (first, *others)], axis=0)
    viewer.scene.camera.center = world(*middle_of)
    viewer.scene.camera.zoom = min(viewer.canvas.size) / (8 * first.radius * image.scale[0])
    picture("slide-03-table")

    near = others[0]
    look_at(near, 0.5)
    layer = controller.work.result.layer
    owner = min(controller.work.snapshot.objects, key=lambda o: o.geometry.distance(near.outline().centroid)).object_id
    controller.work.select(owner)
    settle()
    viewer.layers.selection.active = layer
    layer.mode = "direct"
    number = next(n for n, o in enumerate(layer.features["object_id"]) if o == owner)
    click(viewer, layer.data_to_world(layer.data[number].mean(axis=0)))
    settle()
    vertices = layer.data[number]
    corner = vertices[int(vertices.sum(axis=1).argmax())]
    drag(viewer, layer.data_to_world(corner), layer.data_to_world(corner + 0.15 * near.radius))
    picture("slide-04-polygon")
    layer.mode = "pan_zoom"

    viewer.layers.selection.active = image
    press(viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    press(viewer, Qt.Key.Key_N)
    press(viewer, Qt.Key.Key_H)
    hovered = others[3]
    look_at(hovered, 0.3)
    for step in (3, 0):
        at = canvas_position(viewer, world(hovered.row + step, hovered.col + step))
        QTest.mouseMove(canvas(viewer), at)
        settle()
    press(viewer, Qt.Key.Key_H)
    parts.saving.suggest(folder / "biopsy.geojson")
    QTest.mouseClick(parts.saving.save, LEFT)
    settle()
    size = np.round((folder / "biopsy.geojson").stat().st_size / 1024)
    print(f"{'saved':22s} {controller.workspace.status}, {size} KiB")
    viewer.close()
