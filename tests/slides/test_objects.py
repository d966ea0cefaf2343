from __future__ import annotations

import pytest
import shapely

from napari_sam2.core.pixel_size import Mpp
from napari_sam2.errors import UserInputError
from napari_sam2.slides.objects import ObjectClass, Regions, SlideObject, measured

LEFT, RIGHT = shapely.box(0, 0, 10, 10), shapely.box(6, 0, 16, 10)


def test_undo_and_redo_walk_through_every_kind_of_change():
    regions = Regions()
    states = [regions.objects]
    obj = regions.put(SlideObject(LEFT))
    states.append(regions.objects)
    regions.change(obj.object_id, object_class=ObjectClass("Tumor", (200, 0, 0)))
    states.append(regions.objects)
    regions.put(SlideObject(RIGHT, object_id=obj.object_id))
    states.append(regions.objects)
    regions.remove(obj.object_id)
    for expected in reversed(states):
        assert regions.undo()
        assert regions.objects == expected
    assert not regions.undo()
    for expected in states[1:]:
        assert regions.redo()
        assert regions.objects == expected


def test_a_change_after_undo_forgets_what_was_undone():
    regions = Regions()
    regions.put(SlideObject(LEFT, name="a"))
    regions.undo()
    regions.put(SlideObject(LEFT, name="b"))
    assert not regions.redo()
    assert [o.name for o in regions] == ["b"]


@pytest.mark.parametrize(("rule", "areas"), [("keep", [100, 100]), ("first", [100, 60]), ("last", [60, 100])])
def test_the_overlap_rule_says_who_keeps_the_shared_area(rule, areas):
    regions = Regions(overlap=rule)
    regions.put(SlideObject(LEFT))
    regions.put(SlideObject(RIGHT))
    assert [o.geometry.area for o in regions] == areas


def test_a_locked_object_is_neither_cut_nor_changed_nor_removed():
    regions = Regions(overlap="last")
    first = regions.put(SlideObject(LEFT, name="gland", locked=True))
    second = regions.put(SlideObject(RIGHT))
    assert regions[first.object_id].geometry.area == 100
    assert second.geometry.area == 60
    for forbidden in (
        lambda: regions.remove(first.object_id),
        lambda: regions.change(first.object_id, name="other"),
        lambda: regions.put(SlideObject(RIGHT, object_id=first.object_id)),
    ):
        with pytest.raises(UserInputError, match="gland is locked"):
            forbidden()
    regions.change(first.object_id, locked=False)
    regions.remove(first.object_id)


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
