"""Working on slides without a window."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
import shapely.affinity
from napari.layers import Image

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.plugin.control.controller import Controller
from napari_sam2.plugin.scan.volumes import METADATA_KEY, shown_volume
from napari_sam2.plugin.slide.opening import is_slide, slide_of
from napari_sam2.plugin.slide.view import view_of
from napari_sam2.slides.automatic.run import PROPOSER, AutomaticRequest
from napari_sam2.slides.formats.geojson import read_geojson
from napari_sam2.slides.objects import SCORE, SlideObject
from tests.plugin.slide.conftest import DISCS, SHAPE, corners_of, disc_outline, overlap, world_of


class Desk:
    """A bench with a slide chosen."""

    def __init__(self, bench, layer):
        self.bench, self.controller, self.viewer, self.layer = bench, bench.controller, bench.viewer, layer
        self.viewer.canvas.size = (800, 600)
        self.viewer.reset_view()
        self.controller.use_image(layer)
        bench.settle()
        assert self.work is not None, bench.warnings

    @property
    def work(self):
        return self.controller.work

    def click(self, row, col, *, positive=True):
        self.controller.pointer.click_at(world_of(self.layer, row, col), positive=positive)
        self.bench.settle()

    def box(self, number):
        low, high = corners_of(number)
        self.controller.pointer.box_between(world_of(self.layer, *low), world_of(self.layer, *high))
        self.bench.settle()

    def act(self, name):
        self.controller.do(name)
        self.bench.settle()


@pytest.fixture
def desk(bench, slide_layer_of):
    return Desk(bench, slide_layer_of(bench.viewer))


def test_a_box_gives_an_outline_in_level_0_pixels_with_microns(desk):
    desk.box(0)
    (obj,) = desk.work.snapshot.objects
    assert overlap(obj.geometry, disc_outline(0)) > 0.9
    assert obj.measurements["Area µm^2"] == pytest.approx(obj.geometry.area / 16)
    assert desk.work.result.layer.features["object_id"].tolist() == [obj.object_id]
    drawn = desk.work.result.layer.data[0]
    assert np.abs(drawn.mean(axis=0) - DISCS[0][:2]).max() < 15
    assert np.allclose(desk.work.result.layer.scale, desk.layer.scale)
    assert desk.controller.work.kind == "slide"


def test_clicks_before_the_answer_belong_to_one_object(desk):
    target = desk.controller.pointer
    target.click_at(world_of(desk.layer, 1000, 1400), positive=True)
    target.click_at(world_of(desk.layer, 1010, 1410), positive=True)
    desk.bench.settle()
    (obj,) = desk.work.snapshot.objects
    assert len(desk.work.snapshot.prompts[obj.object_id]) == 2
    assert len(desk.work.prompts.clicks.data) == 2


def test_a_click_while_the_slide_is_being_opened_is_not_lost(bench, slide_layer_of):
    layer = slide_layer_of(bench.viewer)
    bench.viewer.canvas.size = (800, 600)
    bench.viewer.reset_view()
    bench.controller.use_image(layer)
    assert bench.controller.workspace.is_opening
    bench.controller.pointer.click_at(world_of(layer, 1000, 1400), positive=True)
    bench.settle()
    (obj,) = bench.controller.work.snapshot.objects
    assert overlap(obj.geometry, disc_outline(1)) > 0.8


def test_next_object_undo_and_redo_go_through_the_common_actions(desk):
    desk.box(0)
    desk.act("next_object")
    desk.box(1)
    assert [o.name for o in desk.work.snapshot.objects] == ["object 1", "object 2"]
    desk.act("undo")
    assert len(desk.work.snapshot.objects) == 1
    assert desk.work.current_object is not None
    desk.act("redo")
    assert len(desk.work.snapshot.objects) == 2
    assert desk.work.result.shown == {o.object_id for o in desk.work.snapshot.objects}


def test_the_worst_object_comes_first_and_a_finished_one_is_not_changed(desk):
    scored = [
        SlideObject(shapely.box(c, 100, c + 90, 190), name=name, measurements={SCORE: score})
        for c, name, score in ((100, "good", 0.9), (400, "bad", 0.2), (700, "fair", 0.5))
    ]
    desk.work.ask(lambda session: session.add_objects(scored))
    desk.bench.settle()
    desk.act("next_doubt")
    assert desk.work.current_object.name == "bad"
    centre = desk.viewer.scene.camera.center[-2:]
    assert np.allclose(centre, world_of(desk.layer, 144.5, 444.5), atol=1)
    desk.act("accept_slice")
    # Finishing goes on to the next one.
    assert desk.work.current_object.name == "fair"
    desk.act("next_doubt")
    assert desk.work.current_object.name == "good"
    desk.work.select(scored[1].object_id)
    assert desk.work.current_object.finished
    desk.click(145, 445)
    assert any("finished" in warning for warning in desk.bench.warnings)
    desk.act("next_doubt")
    assert desk.work.current_object.name == "fair"


def test_a_click_is_answered_at_the_size_of_what_is_on_the_screen(desk):
    sides = []
    for zoom in (4.0, 1.0):
        desk.viewer.scene.camera.zoom = zoom
        desk.viewer.scene.camera.center = world_of(desk.layer, *DISCS[2][:2])
        seen = []
        desk.work.ask_quietly(lambda session: session.use_model(session.engine.model), lambda _: None)
        desk.controller.do("next_object")
        desk.click(*DISCS[2][:2])
        desk.work.ask_quietly(lambda session: list(session.engine._engines), seen.append)
        desk.bench.settle()
        first = seen[0][0]
        sides.append(max(first.rows, first.cols) * first.scale)
    # The shorter side of the canvas, 600 pixels, is 600 and 2,400 pixels of the slide; crops are powers of two.
    assert sides == [1024, max(SHAPE)]


def test_vertices_moved_by_hand_are_an_edit_that_can_be_undone(desk):
    desk.box(0)
    (before,) = desk.work.snapshot.objects
    layer = desk.work.result.layer
    vertices = layer.data[0].copy()
    corner = int(vertices.sum(axis=1).argmin())
    vertices[corner] -= 80
    layer.data = [vertices]
    layer.events.data(value=layer.data, action="changed", data_indices=(0,), vertex_indices=((),))
    desk.bench.settle()
    (after,) = desk.work.snapshot.objects
    assert after.object_id == before.object_id
    assert after.geometry.area > before.geometry.area
    assert after.score is None
    # What is on the screen is what was drawn: nothing is drawn again under the hand.
    assert np.array_equal(layer.data[0], vertices)
    desk.act("undo")
    assert desk.work.snapshot.objects[0].geometry.equals(before.geometry)
    assert len(layer.data[0]) == len(vertices)
    assert not np.array_equal(layer.data[0], vertices)


def test_an_outline_drawn_with_naparis_own_tool_is_an_object(desk):
    layer = desk.work.result.layer
    layer.add_polygons([np.array([[10.0, 10], [10, 90], [90, 90], [90, 10]])])
    desk.bench.settle()
    (obj,) = desk.work.snapshot.objects
    assert obj.geometry.equals(shapely.box(10.5, 10.5, 90.5, 90.5))
    assert desk.work.current == obj.object_id
    assert layer.features["object_id"].tolist() == [obj.object_id]
    layer.selected_data = {0}
    layer.remove_selected()
    desk.bench.settle()
    assert desk.work.snapshot.objects == ()


def test_an_object_with_a_hole_is_two_shapes_and_one_object(desk):
    ring = shapely.box(100, 100, 300, 300).difference(shapely.box(150, 150, 200, 200))
    desk.work.ask(lambda session: session.add_objects([SlideObject(ring)]))
    desk.bench.settle()
    layer = desk.work.result.layer
    assert sorted(layer.features["is_hole"]) == [False, True]
    moved = [np.array(a) for a in layer.data]
    hole = int(layer.features["is_hole"].to_numpy().argmax())
    moved[hole] += 20
    layer.data = moved
    layer.events.data(value=layer.data, action="changed", data_indices=(hole,), vertex_indices=((),))
    desk.bench.settle()
    (obj,) = desk.work.snapshot.objects
    assert obj.geometry.equals(shapely.box(100, 100, 300, 300).difference(shapely.box(170, 170, 220, 220)))


def test_only_what_is_in_view_is_drawn(desk):
    small = [SlideObject(shapely.box(c, r, c + 8, r + 8)) for r in range(0, 1600, 20) for c in range(0, 2000, 20)]
    desk.work.ask(lambda session: session.add_objects(small))
    desk.bench.settle()
    assert len(desk.work.result.layer.data) <= 250
    desk.viewer.scene.camera.zoom = 30
    desk.viewer.scene.camera.center = world_of(desk.layer, 804, 1004)
    desk.work.draw()
    desk.bench.settle()
    view = view_of(desk.viewer, desk.layer, SHAPE)
    inside = shapely.box(view.col0, view.row0, view.col1, view.row1)
    assert desk.work.result.shown == {o.object_id for o in small if o.geometry.intersects(inside)}
    assert len(desk.work.result.layer.data) == len(desk.work.result.shown) < 250


def test_a_hover_shows_an_outline_and_a_stale_one_is_dropped(desk):
    desk.act("toggle_preview")
    target, boxes = desk.controller.pointer, desk.work.prompts.boxes
    target.hover_at(world_of(desk.layer, 1000, 1400))
    desk.bench.settle()
    assert len(boxes.data) == 1
    assert desk.work.snapshot.objects == ()
    target.hover_at(world_of(desk.layer, 400, 500))
    desk.controller.work.pointer.clear_preview()
    desk.bench.settle()
    assert len(boxes.data) == 0


def test_objects_are_saved_for_qupath_and_loaded_again(desk, tmp_path):
    desk.box(0)
    desk.work.ask(lambda session: session.set_class(desk.work.current, "Tumor"))
    desk.bench.settle()
    path = tmp_path / "out.geojson"
    desk.controller.work.save(path)
    desk.bench.settle()
    assert [o.class_name for o in read_geojson(path)] == ["Tumor"]
    assert (tmp_path / "out.sam2session" / "events.jsonl").is_file()
    desk.controller.work.save(tmp_path / "out.csv")
    desk.controller.work.save(tmp_path / "out.coco.json")
    desk.controller.work.save(tmp_path / "out.ome.tif")
    desk.bench.settle()
    assert all((tmp_path / f"out.{e}").is_file() for e in ("csv", "coco.json", "ome.tif"))
    desk.act("undo")
    desk.act("undo")
    assert desk.work.snapshot.objects == ()
    desk.controller.work.load(path)
    desk.bench.settle()
    assert [o.class_name for o in desk.work.snapshot.objects] == ["Tumor"]


def test_what_was_skipped_or_mended_in_a_loaded_file_is_said(desk, tmp_path):
    ring = [[0, 0], [50, 0], [50, 50], [0, 50], [0, 0]]
    kinds = [{"type": "Polygon", "coordinates": [ring]}, {"type": "Point", "coordinates": [3, 4]}, None]
    features = [{"type": "Feature", "id": "x", "properties": {}, "geometry": geometry} for geometry in kinds]
    path = tmp_path / "in.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    desk.controller.work.load(path)
    desk.bench.settle()
    assert len(desk.work.snapshot.objects) == 1
    told = " ".join(desk.bench.warnings)
    assert "feature 3" in told
    assert "1 object has no area" in told


def test_the_next_session_on_the_slide_offers_to_go_on(desk, slide_layer_of):
    desk.box(0)
    desk.work.ask(lambda session: session.change(session.objects[0].object_id, name="gland"))
    desk.bench.settle()
    outline = desk.work.snapshot.objects[0].geometry
    desk.controller.close()
    desk.bench.settle()
    other = Controller(desk.viewer, desk.bench.thread, desk.controller.workspace.preferences)
    other.use_image(slide_layer_of(desk.viewer))
    desk.bench.settle()
    work = other.work
    assert work.earlier is not None
    assert work.earlier.n_objects == 1
    work.resume()
    desk.bench.settle()
    (obj,) = work.snapshot.objects
    assert obj.name == "gland"
    assert obj.geometry.equals(outline)
    assert len(work.snapshot.prompts[obj.object_id]) == 1
    assert work.result.shown == {obj.object_id}
    other.close()


def test_an_automatic_run_is_stopped_and_gone_on_with(desk):
    region = shapely.box(0, 0, SHAPE[1], SHAPE[0])
    automatic = desk.controller.work.run
    steps = []
    automatic.progressed.connect(steps.append)
    automatic.progressed.connect(lambda step: automatic.stop() if step and step.done >= 1 else None)
    automatic.begin(AutomaticRequest(region, tissue_only=True, object_size=60.0))
    desk.bench.settle()
    assert "Stopped" in desk.controller.workspace.status
    assert desk.work.snapshot.unfinished is not None
    assert desk.work.snapshot.objects == ()
    tiles = desk.work.autosave.folder / "automatic.tiles.jsonl"
    assert tiles.is_file()
    automatic.progressed.disconnect()
    automatic.resume()
    desk.bench.settle()
    assert desk.work.snapshot.unfinished is None
    assert not tiles.exists()
    assert "draft" in desk.controller.workspace.status
    found = desk.work.snapshot.objects
    assert any(overlap(o.geometry, disc_outline(2)) > 0.7 for o in found)
    desk.act("undo")
    assert desk.work.snapshot.objects == ()


def test_more_nuclei_like_those_that_were_outlined_are_found(desk):
    automatic = desk.controller.work.run
    with pytest.raises(UserInputError, match="outline one"):
        automatic.find("tissue", "", nuclei=True)
    # As large as the smallest disc, on glass beside it.
    desk.work._on_drawn(shapely.affinity.translate(disc_outline(2), 300))
    desk.bench.settle()
    desk.work.choices.use_number(2)
    automatic.find("tissue", "", nuclei=True)
    desk.bench.settle()
    assert {obj.class_name for obj in desk.work.snapshot.objects} == {"Stroma"}
    assert desk.work.snapshot.unfinished is None
    found = [obj for obj in desk.work.snapshot.objects if obj.kind == "detection"]
    assert any(overlap(obj.geometry, disc_outline(2)) > 0.9 for obj in found)
    assert {obj.metadata["model"] for obj in found} == {PROPOSER}


def test_plain_pictures_are_slides_and_scans_are_not(disc_pixels, bench):
    grey = np.random.default_rng(0).normal(100, 5, (300, 320)).astype(np.float32)
    grey[100:200, 100:220] += 80
    layer = bench.viewer.add_image(grey, name="film", contrast_limits=(80, 200))
    assert is_slide(layer)
    assert slide_of(layer).mpp is None
    assert is_slide(Image(disc_pixels, rgb=True))
    assert not is_slide(Image(np.zeros((4, 5, 6))))
    assert not is_slide(Image(grey, metadata={METADATA_KEY: {}}))
    desk = Desk(bench, layer)
    desk.controller.pointer.box_between((95, 95), (205, 225))
    bench.settle()
    (obj,) = desk.work.snapshot.objects
    assert overlap(obj.geometry, shapely.box(100, 100, 220, 200)) > 0.9
    assert obj.measurements["Area px^2"] == pytest.approx(obj.geometry.area)
    desk.work.ask(lambda session: session.set_mpp(Mpp(2.0, 2.0, "given")))
    bench.settle()
    assert desk.work.snapshot.objects[0].measurements["Area µm^2"] == pytest.approx(obj.geometry.area * 4)


def test_the_model_sees_grey_values_as_they_are_shown(bench):
    layer = bench.viewer.add_image(np.arange(4096, dtype=np.uint16).reshape(64, 64), contrast_limits=(0, 4095))
    desk = Desk(bench, layer)
    layer.contrast_limits = (1000, 2000)
    bench.settle()
    seen = []
    desk.work.ask_quietly(lambda session: session.slide.read(0, 0, 0, 64, 64), seen.append)
    bench.settle()
    assert seen[0].max() == 255
    assert (seen[0][:15] == 0).all()
    assert (seen[0][32:] == 255).all()


def test_the_background_of_a_layer_is_that_of_its_picture(disc_pixels):
    bright, dark = np.full((60, 70), 220, np.uint8), np.full((60, 70), 12, np.uint8)
    bright[20:40, 20:40], dark[20:40, 20:40] = 60, 200
    assert slide_of(Image(bright)).background == 255
    assert slide_of(Image(dark)).background == 0
    assert slide_of(Image(disc_pixels, rgb=True)).background == 255
    assert slide_of(Image(np.stack([dark] * 3, axis=-1), rgb=True)).background == 0


@pytest.mark.parametrize("full", [4095, 65535])
def test_colours_of_more_bits_are_scaled_as_one_on_pictures_and_films(disc_pixels, full):
    deep = np.rint(disc_pixels[:60, :70] / 255 * full).astype(np.uint16)
    deep[0, 0] = full
    seen = slide_of(Image(deep, rgb=True)).read(0, 0, 0, 60, 70)
    assert np.abs(seen.astype(int) - disc_pixels[:60, :70])[1:].max() <= 1
    film = shown_volume(Image(np.stack([deep, deep]), rgb=True, axis_labels=("t", "y", "x"))).volume.voxels
    assert np.abs(film[:, :, 0].transpose(1, 0, 2).astype(int) - disc_pixels[:60, :70])[1:].max() <= 1


def test_levels_and_units_of_any_reader_are_taken_as_they_are(disc_pixels):
    levels = [disc_pixels, disc_pixels[::2, ::2], disc_pixels[::4, ::4]]
    layer = Image(levels, multiscale=True, rgb=True, scale=(0.0005, 0.0005), units=("mm", "mm"))
    slide = slide_of(layer)
    assert [level.downsample for level in slide.levels] == [1, 2, 4]
    assert slide.mpp.row == pytest.approx(0.5)
    assert np.array_equal(slide.read(2, 3, 4, 20, 30), levels[2][3:23, 4:34])
    assert slide_of(Image(disc_pixels[:9, :9].astype(np.float32) / 255, rgb=True)).read(0, 0, 0, 9, 9).tolist() == (
        disc_pixels[:9, :9].tolist()
    )


def test_removing_the_outlines_closes_the_work_and_nothing_breaks(desk):
    desk.box(0)
    desk.viewer.layers.remove(desk.work.result.layer)
    desk.bench.settle()
    assert desk.controller.workspace.image is None
    assert "removed" in desk.controller.workspace.status
    desk.controller.use_image(desk.layer)
    desk.bench.settle()
    assert desk.work is not None


def test_undo_says_what_it_took_back_as_on_scans(desk):
    desk.box(0)
    desk.act("undo")
    assert desk.controller.workspace.status == "Taken back: prompt."
    desk.act("redo")
    assert desk.controller.workspace.status == "Done again: prompt."
    desk.act("redo")
    assert desk.controller.workspace.status == "There is nothing to do again."


def test_a_class_stays_with_the_next_objects_until_another_is_chosen(desk):
    desk.box(0)
    desk.work.choices.set_class("Tumor")
    desk.bench.settle()
    desk.act("next_object")
    desk.box(1)
    assert [o.class_name for o in desk.work.snapshot.objects] == ["Tumor", "Tumor"]
    desk.work.choices.set_class("")
    desk.bench.settle()
    desk.act("next_object")
    desk.box(2)
    assert [o.class_name for o in desk.work.snapshot.objects] == ["Tumor", "", ""]


def test_class_and_removal_go_to_all_selected_rows(desk):
    made = [SlideObject(shapely.box(c, 100, c + 90, 190)) for c in (100, 400, 700)]
    desk.work.ask(lambda session: session.add_objects(made))
    desk.bench.settle()
    desk.work.select(made[0].object_id)
    desk.work.selected = (made[0].object_id, made[2].object_id)
    desk.work.choices.set_class("Tumor")
    desk.bench.settle()
    assert [o.class_name for o in desk.work.snapshot.objects] == ["Tumor", "", "Tumor"]
    desk.act("remove_object")
    assert [o.object_id for o in desk.work.snapshot.objects] == [made[1].object_id]


def test_looking_up_an_object_keeps_the_zoom_unless_it_would_be_a_dot_or_not_fit(desk):
    made = [SlideObject(shapely.box(c, 100, c + side, 100 + side)) for c, side in ((100, 90), (400, 2), (500, 1400))]
    desk.work.ask(lambda session: session.add_objects(made))
    desk.bench.settle()
    camera = desk.viewer.scene.camera
    before = camera.zoom = 1.0 / desk.layer.scale[0]
    desk.work.go_to_object(made[0].object_id)
    assert camera.zoom == before
    assert np.allclose(camera.center[-2:], world_of(desk.layer, 144.5, 144.5), atol=1)
    desk.work.go_to_object(made[1].object_id)
    assert camera.zoom > before
    camera.zoom = before
    desk.work.go_to_object(made[2].object_id)
    assert camera.zoom < before
