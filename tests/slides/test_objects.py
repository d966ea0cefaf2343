from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.models import load_model
from napari_sam2.slides.image.pyramid import Slide
from napari_sam2.slides.image.sources import ArraySource
from napari_sam2.slides.objects import EXPECTED, SCORE, ObjectClass, SlideObject, measured, without_scores
from napari_sam2.slides.session import SlideSession

LEFT, RIGHT = shapely.box(0, 0, 10, 10), shapely.box(6, 0, 16, 10)


@pytest.fixture
def session():
    slide = Slide(ArraySource(np.full((64, 64, 3), 255, np.uint8)), "s.png")
    return SlideSession(slide, load_model("classical"))


def draw(session, geometry, name="", object_id=None):
    return session.draw(geometry, object_id, name=name)


def test_undo_and_redo_walk_through_every_kind_of_change(session):
    states = [session.objects]
    obj = draw(session, LEFT)
    states.append(session.objects)
    session.change(obj.object_id, object_class=ObjectClass("Tumor", (200, 0, 0)))
    states.append(session.objects)
    draw(session, RIGHT, object_id=obj.object_id)
    states.append(session.objects)
    session.remove(obj.object_id)
    for expected in reversed(states):
        assert session.undo()
        assert session.objects == expected
    assert not session.undo()
    for expected in states[1:]:
        assert session.redo()
        assert session.objects == expected


def test_a_change_after_undo_forgets_what_was_undone(session):
    draw(session, LEFT, "a")
    session.undo()
    draw(session, LEFT, "b")
    assert not session.redo()
    assert [o.name for o in session.objects] == ["b"]


def test_an_object_whose_removal_is_undone_comes_back_to_its_place(session):
    drawn = [draw(session, shapely.box(n, 0, n + 1, 1), str(n)) for n in range(4)]
    session.remove(drawn[1].object_id)
    session.remove(drawn[3].object_id)
    assert [o.name for o in session.objects] == ["0", "2"]
    session.undo()
    session.undo()
    assert [o.name for o in session.objects] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("rule", "areas"), [("keep", [100, 100]), ("first", [100, 60]), ("last", [60, 100])])
def test_the_overlap_rule_says_who_keeps_the_shared_area(session, rule, areas):
    session.set_overlap(rule)
    draw(session, LEFT)
    draw(session, RIGHT)
    assert [o.geometry.area for o in session.objects] == areas


def test_an_overlap_rule_that_does_not_exist_is_refused(session):
    with pytest.raises(UserInputError, match="no overlap rule 'most'"):
        session.set_overlap("most")
    assert session.overlap == "keep"


def test_a_finished_object_is_neither_cut_nor_changed_nor_removed(session):
    session.set_overlap("last")
    first = draw(session, LEFT, "gland")
    session.finish_object(first.object_id)
    second = draw(session, RIGHT)
    assert session.find(first.object_id).geometry.area == 100
    assert second.geometry.area == 60
    for forbidden in (
        lambda: session.remove(first.object_id),
        lambda: session.change(first.object_id, name="other"),
        lambda: draw(session, RIGHT, object_id=first.object_id),
    ):
        with pytest.raises(UserInputError, match="gland is finished"):
            forbidden()
    session.reopen_object(first.object_id)
    session.remove(first.object_id)


def test_areas_are_in_square_microns_when_the_pixel_is_known_and_in_pixels_otherwise():
    obj = SlideObject(shapely.box(0, 0, 30, 20))
    assert measured(obj, Mpp(0.5, 0.25, "given")).measurements == {"Area µm^2": 75.0, "Perimeter µm": 35.0}
    assert measured(obj, None).measurements == {"Area px^2": 600.0}


def test_objects_cannot_be_changed_in_place():
    obj = SlideObject(LEFT, measurements={"a": 1.0})
    with pytest.raises(TypeError):
        obj.measurements["a"] = 2.0
    with pytest.raises(AttributeError):
        obj.name = "other"


def test_the_estimate_of_any_model_has_one_name_and_the_one_of_earlier_files_goes_with_the_outline_as_well():
    assert "SAM" not in SCORE
    kept = {"Area px^2": 4.0, "mine": 1.0}
    assert without_scores({**kept, SCORE: 0.9, EXPECTED: 0.8, "SAM2 predicted IoU": 0.7}) == kept
