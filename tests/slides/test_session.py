from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from napari_sam2.errors import PromptError, UserInputError
from napari_sam2.io.geojson import read_geojson
from napari_sam2.models import load_model
from napari_sam2.slides.layers import napari_get_slide_reader, polygon_of_shape, read_slide_layers, shapes_of
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from napari_sam2.slides.pyramid import Slide
from napari_sam2.slides.regions import SlideObject
from napari_sam2.slides.resolution import Mpp
from napari_sam2.slides.session import SlideSession
from napari_sam2.slides.sources import ArraySource
from tests.slides.conftest import stained

BOX = SlideBox(150, 150, 250, 250)


@pytest.fixture
def session():
    slide = Slide(ArraySource(stained((600, 600), (200, 200, 50), (400, 420, 80))), "s.png", mpp=Mpp(0.5, 0.5, "given"))
    return SlideSession(slide, load_model("classical"))


def test_a_prompt_makes_an_object_with_its_area_and_score(session):
    obj = session.add_prompt(BOX)
    assert obj.name == "object 1"
    assert obj.score is not None
    assert obj.measurements["Area µm^2"] == pytest.approx(np.pi * 50**2 / 4, rel=0.1)


def test_a_click_corrects_the_object_and_undo_brings_outline_and_prompts_back(session):
    first = session.add_prompt(BOX)
    click = SlidePoint(160, 160, positive=False)
    second = session.add_prompt(click, first.object_id)
    assert second.object_id == first.object_id
    assert session.prompts_of(first.object_id) == (BOX, click)
    assert session.undo()
    assert session.prompts_of(first.object_id) == (BOX,)
    assert session.regions[first.object_id].geometry.equals(first.geometry)
    assert session.redo()
    assert session.regions[first.object_id].geometry.equals(second.geometry)
    assert session.undo()
    assert session.undo()
    assert session.objects == ()
    assert not session.undo()


def test_every_change_can_be_undone_with_its_prompts(session):
    obj = session.add_prompt(BOX)
    session.set_class(obj.object_id, "Tumor", (200, 0, 0))
    session.edit(obj.object_id, shapely.box(0, 0, 10, 10))
    assert session.prompts_of(obj.object_id) == ()
    assert session.regions[obj.object_id].score is None
    assert session.regions[obj.object_id].measurements["Area µm^2"] == 25
    session.remove(obj.object_id)
    session.undo()
    session.undo()
    assert session.prompts_of(obj.object_id) == (BOX,)
    assert session.regions[obj.object_id].class_name == "Tumor"


def test_a_session_is_saved_and_gone_on_with(session, tmp_path):
    obj = session.add_prompt(BOX, name="gland")
    session.set_class(obj.object_id, "Gland")
    session.add_prompt(SlidePoint(400, 420), field=400)
    session.save(tmp_path / "s.json")
    other = SlideSession(session.slide, session.engine.model)
    other.load(tmp_path / "s.json")
    assert [o.object_id for o in other.objects] == [o.object_id for o in session.objects]
    assert [o.geometry.wkb for o in other.objects] == [o.geometry.wkb for o in session.objects]
    assert other.prompts_of(obj.object_id) == (BOX,)
    corrected = other.add_prompt(SlidePoint(200, 200), obj.object_id)
    assert corrected.geometry.intersection(obj.geometry).area > 0.8 * obj.geometry.area


def test_a_session_of_another_slide_is_refused(session, tmp_path):
    session.save(tmp_path / "s.json")
    content = json.loads((tmp_path / "s.json").read_text())
    content["slide"]["name"] = "other.svs"
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(UserInputError, match=r"belongs to other\.svs"):
        session.load(tmp_path / "s.json")
    (tmp_path / "s.json").write_text("[]")
    with pytest.raises(UserInputError, match="not a session"):
        session.load(tmp_path / "s.json")


def test_prompts_that_cannot_be_meant_change_nothing(session):
    obj = session.add_prompt(BOX)
    session.change(obj.object_id, locked=True)
    before = session.objects
    with pytest.raises(PromptError, match="outside"):
        session.add_prompt(SlidePoint(900, 0))
    with pytest.raises(PromptError, match="no positive prompt"):
        session.add_prompt(SlidePoint(10, 10, positive=False))
    with pytest.raises(UserInputError, match="locked"):
        session.add_prompt(SlidePoint(200, 200), obj.object_id)
    assert session.objects == before


def test_objects_are_exported_for_qupath(session, tmp_path):
    obj = session.add_prompt(BOX)
    assert session.export(tmp_path / "o.geojson") == 1
    assert read_geojson(tmp_path / "o.geojson")[0].object_id == obj.object_id


def test_napari_gets_lazy_levels_in_microns(noise_slide, noise_pixels):
    assert napari_get_slide_reader("notes.txt") is None
    assert napari_get_slide_reader(str(noise_slide)) is read_slide_layers
    ((levels, fields, kind),) = read_slide_layers(noise_slide)
    assert kind == "image"
    assert fields["scale"] == (0.25, 0.25)
    assert [level.shape for level in levels] == [(1201, 903, 3), (600, 451, 3), (300, 225, 3)]
    np.testing.assert_array_equal(levels[0][1000:1100, 800:903].compute(), noise_pixels[1000:1100, 800:903])
    fields["metadata"]["napari_sam2_slide"].close()


def test_outlines_go_to_shapes_and_back_with_their_holes_marked():
    ring = shapely.Polygon([(10, 20), (60, 20), (60, 50), (10, 50)], [[(20, 30), (30, 30), (30, 40), (20, 40)]])
    outlines, fields = shapes_of([SlideObject(ring, name="a", colour=(255, 0, 0))])
    assert fields["features"]["is_hole"] == [False, True]
    assert outlines[0].min(axis=0).tolist() == [19.5, 9.5]
    assert polygon_of_shape(outlines[0]).equals(shapely.Polygon(ring.exterior))
    np.testing.assert_array_equal(fields["edge_color"][0], [1, 0, 0, 1])
