from __future__ import annotations

import json

import pytest
import shapely

from napari_sam2.errors import ImageFileError, UserInputError
from napari_sam2.slides.formats.geojson import feature_of, read_geojson, write_geojson
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
