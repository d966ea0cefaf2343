from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.slides.class_colours import class_colour
from napari_sam2.slides.formats.geojson import feature_of, object_of, read_geojson, read_objects, write_geojson
from napari_sam2.slides.objects import ObjectClass, SlideObject

ID = "2f0e5c3a-9d0b-4c7e-8b1a-6f7d1c2b3a4e"

QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": ID,
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[10.5, 20], [110.25, 20], [110.25, 90], [10.5, 90], [10.5, 20]],
                    [[30, 40], [30, 60], [50, 60], [50, 40], [30, 40]],
                ],
                "plane": {"c": -1, "z": 3, "t": 0},
            },
            "properties": {
                "objectType": "annotation",
                "name": "gland 1",
                "color": [10, 20, 30],
                "classification": {"name": "Tumor: Positive", "color": [200, 0, 0]},
                "isLocked": True,
                "measurements": {"Area µm^2": 12.125, "SAM2 predicted IoU": 0.1 + 0.2},
                "metadata": {"ANNOTATION_DESCRIPTION": "zweifelhaft"},
            },
        },
        {
            "type": "Feature",
            "id": "1e0e5c3a-9d0b-4c7e-8b1a-6f7d1c2b3a4e",
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [
                    [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]],
                    [[[8, 8], [9, 8], [9, 9], [8, 9], [8, 8]]],
                ],
            },
            "nucleusGeometry": {"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 1]]]},
            "properties": {"objectType": "cell", "childObjects": [{"type": "Feature"}]},
        },
        {
            "type": "Feature",
            "id": "0e0e5c3a-9d0b-4c7e-8b1a-6f7d1c2b3a4e",
            "geometry": {"type": "LineString", "coordinates": [[0, 0], [4.125, 1e-9]]},
            "properties": {"objectType": "annotation"},
        },
    ],
}


def test_a_file_as_qupath_writes_it_comes_back_without_loss(tmp_path):
    first, second = tmp_path / "a.geojson", tmp_path / "b.geojson"
    first.write_text(json.dumps(QUPATH), encoding="utf-8")
    assert write_geojson(read_geojson(first), second) == 3
    assert json.loads(second.read_text(encoding="utf-8")) == QUPATH


def test_an_object_of_ours_follows_the_rules_that_qupath_reads_by(tmp_path):
    obj = SlideObject(
        shapely.box(0, 0, 5, 4),
        name="=cmd",
        object_class=ObjectClass("Stroma", (0, 200, 0)),
        measurements={"SAM2 predicted IoU": 0.93, "unknown": float("nan")},
        metadata={"model": "classical"},
    )
    write_geojson([obj], tmp_path / "o.geojson")
    content = json.loads((tmp_path / "o.geojson").read_text(encoding="utf-8"))
    feature = content["features"][0]
    assert content["type"] == "FeatureCollection"
    assert feature["type"] == "Feature"
    assert feature["id"] == obj.object_id
    assert feature["properties"] == {
        "objectType": "annotation",
        "name": "=cmd",
        "classification": {"name": "Stroma", "color": [0, 200, 0]},
        "measurements": {"SAM2 predicted IoU": 0.93},
        "metadata": {"model": "classical"},
    }
    assert shapely.from_geojson(json.dumps(feature["geometry"])).equals(obj.geometry)


def test_what_qupath_wrote_before_version_0_4_is_understood(tmp_path):
    old = {
        "type": "Feature",
        "id": "PathAnnotationObject",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]]]},
        "properties": {
            "classification": {"name": "Tumor", "colorRGB": -3670016},
            "measurements": [{"name": "Length", "value": 3.5}],
            "color": -16776961,
        },
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps([old]))
    (obj,) = read_geojson(path)
    assert obj.object_class == ObjectClass("Tumor", (200, 0, 0))
    assert obj.colour == (0, 0, 255)
    assert dict(obj.measurements) == {"Length": 3.5}
    assert obj.kind == "annotation"


def test_derived_classes_keep_all_of_their_names(tmp_path):
    feature = {**QUPATH["features"][0]}
    feature["properties"] = {"classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}}
    path = tmp_path / "n.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_geojson(path)[0].class_name == "Tumor: Positive"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not valid JSON"),
        ('{"type": "Topology"}', "no list of features"),
        ('[{"type": "Feature", "properties": {}}]', "feature 1 cannot be used: it has no geometry"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[1, 2]]}}]', "feature 1 .* coordinates"),
        ('[{"geometry": {"type": "Point", "coordinates": [NaN, 2]}}]', "feature 1 .* finite"),
        ("[3]", "feature 1 cannot be used: it is not an object"),
    ],
)
def test_what_is_not_geojson_is_refused_in_one_sentence(tmp_path, text, complaint):
    path = tmp_path / "bad.geojson"
    path.write_text(text)
    with pytest.raises(ImageFileError, match=rf"^bad\.geojson.*{complaint}"):
        read_geojson(path)


def test_an_existing_file_is_left_alone(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text("mine")
    with pytest.raises(UserInputError, match="exists already"):
        write_geojson([], path)
    assert path.read_text() == "mine"


def test_a_failing_stream_leaves_no_file_behind(tmp_path):
    def objects():
        yield SlideObject(shapely.box(0, 0, 1, 1))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_geojson(objects(), tmp_path / "a.geojson")
    assert list(tmp_path.iterdir()) == []


def test_the_geometry_of_an_empty_object_is_still_geojson():
    assert feature_of(SlideObject(shapely.Polygon()))["geometry"]["type"] == "Polygon"


def square(x, y, side=10):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(number=1, geometry=None, **properties):
    return {
        "type": "Feature",
        "id": f"3f2f8a10-0000-4000-8000-{number:012d}",
        "geometry": geometry or {"type": "Polygon", "coordinates": [square(5, 5)]},
        "properties": {"objectType": "annotation", **properties},
    }


def saved(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def through(tmp_path, *features):
    """The features after reading and writing them."""
    write_geojson(read_geojson(saved(tmp_path / "in.geojson", *features)), tmp_path / "out.geojson")
    return json.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))["features"]


@pytest.mark.parametrize(
    "properties",
    [
        {"measurements": {"Area": 12.5, "Hematoxylin: Mean": "NaN", "x": "Infinity", "flag": True, "none": None}},
        {"measurements": [{"name": "a", "value": 1.0}, {"name": "b", "value": "NaN"}]},
        {"classification": {"name": "Sub", "color": [1, 2, 3, 128]}, "color": [9, 9, 9]},
        {"classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}},
        {"classification": {"name": "Old", "colorRGB": -3670016}, "color": -16776961},
        {"classification": {}, "isLocked": False, "name": None, "metadata": None},
        {"metadata": {"n": 3, "list": [1, 2]}, "name": 7},
        {"color": [1, 2], "objectType": None, "measurements": 10**400},
        {"measurements": {"huge": 10**400, "text": "not a number"}},
    ],
)
def test_every_spelling_of_a_known_member_comes_back_as_it_came(tmp_path, properties):
    wanted = feature(**properties)
    assert through(tmp_path, wanted) == [wanted]


def test_a_changed_member_is_written_anew_beside_those_that_stay(tmp_path):
    wanted = feature(
        measurements={"a": 1.5, "b": "NaN"}, classification={"names": ["A", "B"], "color": [1, 2, 3]}, name=None
    )
    (obj,) = read_geojson(saved(tmp_path / "a.geojson", wanted))
    changed = replace(obj, measurements={"a": 2.5}, object_class=ObjectClass("C", (9, 9, 9)), name="mine")
    properties = feature_of(changed)["properties"]
    assert properties["measurements"] == {"a": 2.5, "b": "NaN"}
    assert properties["classification"] == {"name": "C", "color": [9, 9, 9]}
    assert properties["name"] == "mine"


@pytest.mark.parametrize("classification", ["Stroma", {"name": "Stroma"}, {"name": "Stroma", "color": None}, "gland 3"])
def test_no_class_is_ever_written_without_a_colour(tmp_path, classification):
    (written,) = through(tmp_path, feature(classification=classification))
    found = written["properties"]["classification"]
    assert found["name"] in ("Stroma", "gland 3")
    assert len(found["color"]) == 3
    assert found["name"] != "Stroma" or found["color"] == [150, 200, 150]


def test_a_class_of_a_name_alone_has_the_same_colour_in_every_run():
    assert ObjectClass("gland").colour == ObjectClass("gland").colour == class_colour("gland")
    assert feature_of(SlideObject(shapely.box(0, 0, 1, 1), object_class=ObjectClass("gland")))["properties"][
        "classification"
    ] == {"name": "gland", "color": list(class_colour("gland"))}


def test_an_ellipse_is_one_until_its_outline_is_changed(tmp_path):
    ring = [[float(x), float(y)] for x, y in shapely.get_coordinates(shapely.Point(50, 50).buffer(20))]
    wanted = feature(
        1, {"type": "Polygon", "coordinates": [ring], "isEllipse": True, "plane": {"c": -1, "z": 2, "t": 0}}
    )
    (obj,) = read_geojson(saved(tmp_path / "a.geojson", wanted))
    assert json.loads(json.dumps(feature_of(obj))) == wanted
    cut = replace(obj, geometry=obj.geometry.intersection(shapely.box(0, 0, 50, 100)))
    assert "isEllipse" not in feature_of(cut)["geometry"]
    assert feature_of(cut)["geometry"]["plane"] == {"c": -1, "z": 2, "t": 0}
    again = object_of(json.loads(json.dumps(feature_of(replace(obj, name="renamed")))))
    assert feature_of(again)["geometry"]["isEllipse"] is True


HUGE = [[-1e300, -1e300], [1e300, -1e300], [1e300, 1e300], [-1e300, -1e300]]
"""A ring whose area overflows."""


def test_bad_features_are_skipped_counted_and_said_and_the_others_read(tmp_path):
    bad = [
        {"type": "Feature", "geometry": None, "properties": {}},
        feature(2, {"type": "Circle", "coordinates": [1, 2]}),
        feature(3, {"type": "Polygon", "coordinates": [[[0, 0], [10**400, 1], [1, 1]]]}),
        feature(4, {"type": "Point", "coordinates": [float("inf"), 1]}),
        feature(5, {"type": "Polygon", "coordinates": None}),
        feature(6, {"type": "Polygon", "coordinates": [[[0, 0], [9, True], [9, 9]]]}),
        feature(7, {"type": "MultiPolygon", "coordinates": [[[[0, 0], ["9", 0], [9, 9], [0, 0]]]]}),
        feature(8, {"type": "Point", "coordinates": [1, None]}),
        17,
        *(
            feature(9, {"type": kind, "coordinates": depth})
            for kind, depth in (("Polygon", [HUGE]), ("MultiPolygon", [[HUGE]]), ("Point", [1e12, 3]))
        ),
    ]
    found = read_objects(saved(tmp_path / "a.geojson", feature(1), *bad, feature(9)))
    assert [obj.object_id[-1] for obj in found.objects] == ["1", "9"]
    (note,) = found.notes
    assert "12 of 14 features were skipped: feature 2 cannot be used: it has no geometry" in note
    assert note.endswith("and 9 more.")


def test_two_features_with_one_id_are_two_objects_and_said(tmp_path):
    found = read_objects(
        saved(tmp_path / "a.geojson", feature(1, name="a"), feature(1, name="b"), feature(1, name="c"))
    )
    assert [obj.name for obj in found.objects] == ["a", "b", "c"]
    assert len({obj.object_id for obj in found.objects}) == 3
    assert found.objects[0].object_id == feature(1)["id"]
    assert any("2 objects had the id of another one" in note for note in found.notes)


def test_an_outline_that_crosses_itself_is_made_valid_with_a_note(tmp_path):
    bowtie = [[10, 10], [110, 110], [110, 10], [10, 110], [10, 10]]
    found = read_objects(saved(tmp_path / "a.geojson", feature(1, {"type": "Polygon", "coordinates": [bowtie]})))
    (obj,) = found.objects
    assert obj.geometry.is_valid
    assert obj.geometry.area == 5000
    assert any("1 outlines crossed themselves" in note for note in found.notes)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=3, max_size=12))
def test_any_ring_becomes_a_valid_outline_of_the_same_pixels(corners):
    ring = [list(c) for c in corners] + [list(corners[0])]
    with TemporaryDirectory() as folder:
        path = saved(Path(folder, "a.geojson"), feature(1, {"type": "Polygon", "coordinates": [ring]}))
        (obj,) = read_objects(path).objects
    assert obj.geometry.is_valid
    evenodd = shapely.make_valid(shapely.Polygon(corners))
    assert obj.geometry.area == pytest.approx(evenodd.area)


def test_a_compressed_file_is_read_and_a_damaged_one_refused(tmp_path):
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps(QUPATH).encode()))
    assert len(read_geojson(path)) == 3
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ImageFileError, match="cannot be decompressed"):
        read_geojson(path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '[{"geometry": ' + "9" * 5000 + "}]", b"\xff\xfe\x00{", '{"features": {}}', "null", '"a"']
)
def test_text_that_no_parser_takes_is_one_sentence(tmp_path, text):
    path = tmp_path / "bad.geojson"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ImageFileError, match=r"^bad\.geojson is not"):
        read_geojson(path)


def test_a_name_that_is_no_unicode_is_written_and_read_again(tmp_path):
    obj = SlideObject(shapely.box(0, 0, 1, 1), name="\ud800")
    write_geojson([obj], tmp_path / "a.geojson")
    assert read_geojson(tmp_path / "a.geojson")[0].name == "\ud800"


def test_points_and_collections_are_read(tmp_path):
    parts = [{"type": "Point", "coordinates": [1.5, 2]}, {"type": "Polygon", "coordinates": [square(0, 0)]}]
    given = [feature(1, parts[0]), feature(2, {"type": "GeometryCollection", "geometries": parts})]
    assert json.loads(json.dumps(through(tmp_path, *given))) == given


@pytest.mark.parametrize("kind", ["Polygon", "MultiPolygon"])
def test_points_with_a_height_among_others_make_the_same_outline(tmp_path, kind):
    rings = [[[0, 0], [10, 0, 7], [10, 10.5], [0, 10], [0, 0]], [[2, 2, 4], [4, 4], [4, 2], [2, 2]]]
    geometry = {"type": kind, "coordinates": rings if kind == "Polygon" else [rings]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    (tmp_path / "h.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    (obj,) = read_geojson(tmp_path / "h.geojson")
    assert obj.geometry.area == pytest.approx(100.5)
    assert not obj.geometry.has_z
