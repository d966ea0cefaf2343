from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import PromptError, UserInputError
from napari_sam2.models import load_model
from napari_sam2.plugin.slide.reader import napari_get_slide_reader, polygon_of_shape, read_slide_layers, shapes_of
from napari_sam2.slides.formats.geojson import read_geojson
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.objects import ObjectClass, SlideObject
from napari_sam2.slides.prompts import SlideBox, SlidePoint
from napari_sam2.slides.session import SlideSession
from tests.slides.conftest import cell_pixels, stained

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
    assert session.find(first.object_id).geometry.equals(first.geometry)
    assert session.redo()
    assert session.find(first.object_id).geometry.equals(second.geometry)
    assert session.undo()
    assert session.undo()
    assert session.objects == ()
    assert not session.undo()


def test_every_change_can_be_undone_with_its_prompts(session):
    obj = session.add_prompt(BOX)
    session.set_class(obj.object_id, "Tumor", (200, 0, 0))
    session.edit(obj.object_id, shapely.box(0, 0, 10, 10))
    assert session.prompts_of(obj.object_id) == ()
    assert session.find(obj.object_id).score is None
    assert session.find(obj.object_id).measurements["Area µm^2"] == 25
    session.remove(obj.object_id)
    session.undo()
    session.undo()
    assert session.prompts_of(obj.object_id) == (BOX,)
    assert session.find(obj.object_id).class_name == "Tumor"


def test_an_outline_that_no_prompt_gave_is_corrected_by_a_click(session):
    drawn = session.draw(shapely.box(150, 150, 250, 250).difference(shapely.box(150, 150, 175, 175)), name="by hand")
    assert session.prompts_of(drawn.object_id) == ()
    click = SlidePoint(180, 220)
    corrected = session.add_prompt(click, drawn.object_id)
    inside, given = session.prompts_of(drawn.object_id)
    assert given == click
    assert drawn.geometry.contains(shapely.Point(inside.col + 0.5, inside.row + 0.5))
    disc = shapely.Point(200.5, 200.5).buffer(50)
    assert corrected.geometry.intersection(disc).area / corrected.geometry.union(disc).area > 0.8
    assert corrected.name == "by hand"


def test_what_is_drawn_must_have_an_area(session):
    with pytest.raises(UserInputError, match="no area"):
        session.draw(shapely.LineString([(0, 0), (5, 5)]))


def test_a_class_of_another_colour_is_seen_on_its_objects_and_undone(session):
    obj = session.add_prompt(BOX)
    assert session.set_class(obj.object_id, "Tumor").shown_colour == (200, 0, 0)
    session.set_class(obj.object_id, "Gland", (1, 2, 3))
    assert "Gland" in [c.name for c in session.classes]
    session.set_classes([ObjectClass(c.name, (9, 9, 9)) for c in session.classes])
    assert session.objects[0].shown_colour == (9, 9, 9)
    session.undo()
    assert session.objects[0].shown_colour == (1, 2, 3)


def test_a_stated_pixel_size_measures_what_is_there_and_what_undo_brings_back(session):
    session.slide.mpp = None
    obj = session.add_prompt(BOX)
    assert "Area µm^2" not in obj.measurements
    session.change(obj.object_id, name="a")
    session.set_mpp(Mpp(0.5, 0.5, "given"))
    session.undo()
    (now,) = session.objects
    assert now.measurements["Area µm^2"] == pytest.approx(now.geometry.area / 4)
    assert "Area px^2" not in now.measurements


def test_many_objects_are_one_step(session):
    objects = [SlideObject(shapely.box(i, 0, i + 1, 1), object_class=ObjectClass("New", (1, 1, 1))) for i in range(9)]
    assert session.add_objects(objects) == 9
    assert "New" in [c.name for c in session.classes]
    assert session.undo()
    assert session.objects == ()


def test_prompts_that_cannot_be_meant_change_nothing(session):
    obj = session.add_prompt(BOX)
    session.finish_object(obj.object_id)
    before = session.objects
    with pytest.raises(PromptError, match="outside"):
        session.add_prompt(SlidePoint(900, 0))
    with pytest.raises(PromptError, match="no positive prompt"):
        session.add_prompt(SlidePoint(10, 10, positive=False))
    with pytest.raises(UserInputError, match="finished"):
        session.add_prompt(SlidePoint(200, 200), obj.object_id)
    assert session.objects == before


def test_objects_are_exported_for_qupath(session, tmp_path):
    obj = session.add_prompt(BOX)
    assert session.export(tmp_path / "o.geojson") == 1
    facts = json.loads((tmp_path / "o.geojson.json").read_text())
    assert facts["Slide"]["key"] == session.slide.key
    assert facts["Model"]["name"] == "classical"
    assert facts["Prompts"] == {obj.object_id: [{"row0": 150, "col0": 150, "row1": 250, "col1": 250}]}
    assert facts["Settings"] == {"overlap": "keep"}
    (tmp_path / "o.geojson").unlink()
    with pytest.raises(UserInputError, match=r"o\.geojson\.json exists already"):
        session.export(tmp_path / "o.geojson")
    session.export(tmp_path / "o.geojson", overwrite=True)
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


def test_several_objects_are_changed_in_one_step_and_finished_ones_stay(session):
    ids = [session.draw(shapely.box(c, 10, c + 20, 30)).object_id for c in (10, 50, 90)]
    session.finish_object(ids[1])
    before = session.position
    assert session.classify(ids, "Lymphocyte") == 2
    assert [session.find(i).class_name for i in ids] == ["Lymphocyte", "", "Lymphocyte"]
    assert session.classes[-1].name == "Lymphocyte"
    assert session.position == before + 1
    session.undo()
    assert [session.find(i).class_name for i in ids] == ["", "", ""]
    assert session.finish_objects(ids) == 2
    with pytest.raises(UserInputError, match="finished"):
        session.classify(ids, "Tumor")
    with pytest.raises(UserInputError, match="finished"):
        session.remove_objects(ids)
    session.undo()
    assert session.remove_objects(ids) == 2
    assert [obj.object_id for obj in session.objects] == [ids[1]]
    session.undo()
    assert [obj.object_id for obj in session.objects] == ids


def test_a_class_is_listed_before_there_is_an_object_and_keeps_its_colour(session):
    assert session.classify([], "Mitosis") == 0
    (listed,) = [c for c in session.classes if c.name == "Mitosis"]
    drawn = session.draw(shapely.box(0, 0, 9, 9), class_name="Mitosis")
    assert drawn.object_class == listed
    prompted = session.add_prompt(BOX, class_name="Mitosis")
    assert prompted.object_class == listed
    session.undo()
    assert [obj.object_id for obj in session.objects] == [drawn.object_id]


def test_a_click_that_may_mean_a_part_or_the_whole_leaves_a_choice():
    session = SlideSession(Slide(ArraySource(cell_pixels()), "cell"), load_model("classical"))
    clicked = session.add_prompt(SlidePoint(450, 450), field=900)
    areas = {}
    for number in range(3):
        chosen, at, count = session.choose_mask(clicked.object_id, number, field=900)
        assert (at, count) == (number, 3)
        areas[number] = chosen.geometry.area
    assert areas[0] == pytest.approx(clicked.geometry.area)
    whole, part = np.pi * 200**2, np.pi * 70**2
    assert any(abs(area / part - 1) < 0.15 for area in areas.values())
    assert any(area > 0.6 * whole for area in areas.values())
    # Behind the last comes the first again, and undo takes one choice back.
    assert session.choose_mask(clicked.object_id, 3, field=900)[1] == 0
    session.undo()
    assert session.find(clicked.object_id).geometry.area == areas[2]
    session.add_prompt(SlidePoint(300, 450), clicked.object_id)
    with pytest.raises(UserInputError, match="one click"):
        session.choose_mask(clicked.object_id, 1, field=900)
