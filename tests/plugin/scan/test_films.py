"""Films in the panel: a disc that wanders and grows, over time."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam2.core.prompts import ObjectPrompts
from napari_sam2.jobs.film import segment_film
from napari_sam2.plugin.control.models import ModelChoice
from napari_sam2.plugin.scan.films import is_film
from napari_sam2.plugin.scan.table_rows import object_rows, size_unit
from napari_sam2.plugin.slide.film_reader import film_layers
from napari_sam2.plugin.slide.reader import read_slide_layers
from tests.plugin.driving import LEFT, SHIFT, drag, press, pump, wait_for

N, SIDE = 14, 96


def truth():
    rows, cols = np.ogrid[:SIDE, :SIDE]
    return np.stack([(rows - 40 - t) ** 2 + (cols - 35 - 2 * t) ** 2 <= (14 + t / 2) ** 2 for t in range(N)])


def film(rgb=False):
    noise = np.random.default_rng(5).normal(0, 6, (N, SIDE, SIDE))
    grey = np.clip(60 + 120 * truth() + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1) if rgb else grey


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_time_is_told_from_space_by_its_name_its_unit_or_by_colour_pictures():
    grey = np.zeros((4, 5, 6))
    assert is_film(Image(grey, axis_labels=("t", "y", "x")))
    assert is_film(Image(grey, axis_labels=("Frames", "y", "x")))
    assert is_film(Image(grey, units=("s", "um", "um")))
    assert is_film(Image(np.zeros((4, 5, 6, 3), np.uint8), rgb=True))
    assert not is_film(Image(grey))
    assert not is_film(Image(grey, axis_labels=("z", "y", "x")))
    assert not is_film(Image(np.zeros((4, 5, 6, 3), np.uint8), rgb=True, units=("mm", "mm", "mm")))
    assert not is_film(Image(grey[0]))


@pytest.mark.parametrize("rgb", [False, True])
def test_a_film_is_carried_along_time_and_has_no_millilitres(bench, tmp_path, rgb):
    layer = bench.viewer.add_image(film(rgb), rgb=rgb, axis_labels=("t", "y", "x"), scale=(1, 0.5, 0.5),
                                   units=("s", "um", "um"))  # fmt: skip
    bench.controller.use_image(layer)
    bench.settle()
    annotation = bench.controller.work
    bench.viewer.dims.set_point(0, 6)
    target = truth()[6]
    rows, cols = (np.flatnonzero(target.any(axis=a)) for a in (1, 0))
    corners = [(6, (rows[0] - 2) * 0.5, (cols[0] - 2) * 0.5), (6, (rows[-1] + 2) * 0.5, (cols[-1] + 2) * 0.5)]
    bench.controller.pointer.box_between(*corners)
    bench.settle()
    bench.controller.do("propagate_both")
    bench.settle()
    labels = np.asarray(annotation.result.layer.data)
    assert labels.shape == (N, SIDE, SIDE)
    assert dice(labels == 1, truth()) > 0.85
    assert set(annotation.object(1).slices) == set(range(N))
    (row,) = object_rows(annotation)
    assert size_unit(annotation) == "px"
    assert row.size == (labels == 1).sum()
    assert bench.controller.work.suggested_path().name.endswith("_labels.ome.tif")
    bench.controller.work.save(tmp_path / "film.nii.gz")
    bench.settle()
    assert any("save them as .ome.tif" in w for w in bench.warnings)
    assert not (tmp_path / "film.nii.gz").exists()
    bench.controller.work.save(tmp_path / "film.ome.tif")
    bench.settle()
    with tifffile.TiffFile(tmp_path / "film.ome.tif") as file:
        assert file.series[0].axes == "TYX"
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
        np.testing.assert_array_equal(file.asarray(), labels)
    assert (tmp_path / "film.sam2session" / "events.jsonl").is_file()
    assert (tmp_path / "film.tsv").is_file()


@pytest.mark.parametrize("axes", ["TYX", "TYXS", "TCYX"])
def test_an_ome_film_is_opened_lazily_with_time_named(tmp_path, axes):
    frames = {"TYX": film(), "TYXS": film(rgb=True), "TCYX": np.stack([film(), film()], axis=1)}[axes]
    path = tmp_path / "film.ome.tif"
    tifffile.imwrite(path, frames, photometric="rgb" if axes == "TYXS" else "minisblack",
                     metadata={"axes": axes, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})  # fmt: skip
    layers = read_slide_layers(path)
    assert len(layers) == (2 if axes == "TCYX" else 1)
    data, fields, kind = layers[-1]
    layer = Image(data, **fields)
    assert kind == "image"
    assert not isinstance(data, np.ndarray)
    assert is_film(layer)
    assert layer.scale.tolist() == [1, 0.5, 0.5]
    np.testing.assert_array_equal(np.asarray(layer.data[3]), frames[3, 1] if axes == "TCYX" else frames[3])


def test_one_picture_is_no_film(tmp_path):
    path = tmp_path / "one.ome.tif"
    tifffile.imwrite(path, film()[0], metadata={"axes": "YX"})
    assert film_layers(path) is None


def test_a_stack_of_unknown_size_is_counted_in_voxels_and_lengths_become_millimetres(bench):
    layer = bench.viewer.add_image(film())
    bench.controller.use_image(layer)
    bench.settle()
    assert size_unit(bench.controller.work) == "voxels"
    sized = bench.viewer.add_image(film(), scale=(2000, 500, 500), units=("um", "um", "um"))
    bench.controller.use_image(sized)
    bench.settle()
    assert size_unit(bench.controller.work) == "mL"
    assert bench.controller.work.shown.volume.spacing == pytest.approx((0.5, 0.5, 2.0))


def test_a_film_in_a_real_window(make_napari_viewer, tmp_path, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 850)
    layer = viewer.add_image(film(), axis_labels=("t", "y", "x"), name="clip")
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    controller = panel.controller
    controller.use_model(ModelChoice("classical", "cpu"))
    wait_for(lambda: controller.work is not None)
    viewer.dims.set_point(0, 6)
    pump(0.3)
    assert panel.scans.run.isVisible()
    assert not panel.scans.planes.isVisible()
    target = truth()[6]
    rows, cols = (np.flatnonzero(target.any(axis=a)) for a in (1, 0))
    drag(viewer, layer.data_to_world((6, rows[0] - 2, cols[0] - 2)),
         layer.data_to_world((6, rows[-1] + 2, cols[-1] + 2)), keys=SHIFT)  # fmt: skip
    wait_for(lambda: controller.work.object(1).slices)
    press(viewer, Qt.Key.Key_G)
    wait_for(lambda: len(controller.work.object(1).slices) == N and not controller.work.run.running)
    wait_for(lambda: panel.scans.table.horizontalHeaderItem(1).text() == "px")
    order = viewer.dims.order
    press(viewer, Qt.Key.Key_9)
    assert viewer.dims.order == order
    assert "frame" in panel.status.text()
    panel.scans.saving.suggest(tmp_path / controller.work.suggested_path().name)
    QTest.mouseClick(panel.scans.saving.save, LEFT)
    wait_for((tmp_path / "clip_labels.ome.tif").is_file)
    wait_for(lambda: "Saved" in controller.workspace.status)
    labels = tifffile.imread(tmp_path / "clip_labels.ome.tif")
    assert dice(labels == 1, truth()) > 0.85
    # The command gives the same masks for the same box.
    tifffile.imwrite(tmp_path / "clip.ome.tif", film(), photometric="minisblack", metadata={"axes": "TYX"})
    given = ObjectPrompts(1, controller.work.object(1).prompts)
    segment_film(tmp_path / "clip.ome.tif", tmp_path / "again.ome.tif", [given], model="classical")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "again.ome.tif"), labels)
    wait_for(lambda: controller.thread.idle)
