from __future__ import annotations

import csv
import json
from functools import partial

import numpy as np
import pytest
import shapely
import tifffile

from napari_sam2.errors import PromptError, UserInputError
from napari_sam2.jobs.slide import segment_slide as segment_with
from napari_sam2.slides.formats.geojson import read_geojson
from tests.slides.conftest import ComponentModel, stained, write_ome
from tests.zarr_maker import write_image

segment_slide = partial(segment_with, model="classical")

DISCS = [(200, 200, 60), (200, 500, 60), (600, 400, 120)]


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    metadata = {f"PhysicalSize{a}": 0.5 for a in "XY"} | {f"PhysicalSize{a}Unit": "µm" for a in "XY"}
    return write_ome(tmp_path_factory.mktemp("slide") / "discs.ome.tif", stained((800, 700), *DISCS), **metadata)


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.json"
    objects = [
        {"id": 1, "name": "left", "class": "Gland", "prompts": [{"box": [[140, 140], [260, 260]]}]},
        {"id": 2, "prompts": [{"point": [600, 400]}, {"point": [300, 300], "positive": False}]},
    ]
    path.write_text(json.dumps({"version": 1, "objects": objects}))
    return path


def truth(row, col, radius):
    return shapely.Point(col + 0.5, row + 0.5).buffer(radius + 0.5)


def iou(a, b):
    return a.intersection(b).area / a.union(b).area


def test_prompts_become_objects_that_qupath_can_read(slide_path, prompts, tmp_path):
    run = segment_slide(slide_path, tmp_path / "out.geojson", prompts=prompts)
    assert (run.finished, run.n_objects, run.notes) == (True, 2, ())
    left, second = read_geojson(tmp_path / "out.geojson")
    assert (left.name, left.class_name, second.name) == ("left", "Gland", "object 2")
    assert iou(left.geometry, truth(*DISCS[0])) > 0.9
    assert iou(second.geometry, truth(*DISCS[2])) > 0.9
    assert left.measurements["Area µm^2"] == pytest.approx(left.geometry.area * 0.25)
    assert left.metadata["model"] == "classical"


def test_refining_brings_an_outline_closer_to_the_truth(slide_path, prompts, tmp_path):
    segment_slide(slide_path, tmp_path / "a.geojson", prompts=prompts)
    segment_slide(slide_path, tmp_path / "b.geojson", prompts=prompts, refine_steps=2)
    coarse, fine = (read_geojson(tmp_path / f"{n}.geojson")[1].geometry for n in "ab")
    assert iou(fine, truth(*DISCS[2])) > max(iou(coarse, truth(*DISCS[2])), 0.97)


def test_a_table_has_areas_in_square_microns_and_no_formulas(slide_path, prompts, tmp_path):
    content = json.loads(prompts.read_text())
    content["objects"][0]["name"] = '=HYPERLINK("x")'
    prompts.write_text(json.dumps(content))
    segment_slide(slide_path, tmp_path / "out.csv", prompts=prompts)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == '\'=HYPERLINK("x")'
    assert float(rows[0]["area_um2"]) == pytest.approx(truth(*DISCS[0]).area * 0.25, rel=0.1)
    assert [row["label"] for row in rows] == ["1", "2"]


def test_without_prompts_every_object_of_the_size_is_found(slide_path, tmp_path):
    model = ComponentModel(256)
    run = segment_slide(slide_path, tmp_path / "o.geojson", auto="tissue", object_size="60um", model=model)
    assert run.n_objects == 3
    found = read_geojson(tmp_path / "o.geojson")
    for one in DISCS:
        assert max(iou(obj.geometry, truth(*one)) for obj in found) > 0.95
    assert {obj.kind for obj in found} == {"detection"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.geojson", "o.geojson.json"]


def test_a_drawn_region_limits_an_automatic_run(slide_path, tmp_path):
    region = tmp_path / "region.geojson"
    geometry = {"type": "Polygon", "coordinates": [[[380, 80], [640, 80], [640, 330], [380, 330], [380, 80]]]}
    region.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}))
    by_file = segment_slide(
        slide_path, tmp_path / "a.geojson", auto=str(region), object_size="120px", model=ComponentModel(256)
    )
    by_box = segment_slide(
        slide_path, tmp_path / "b.geojson", auto="80,380,330,640", object_size="120px", model=ComponentModel(256)
    )
    assert by_file.n_objects == by_box.n_objects == 1
    assert iou(read_geojson(tmp_path / "a.geojson")[0].geometry, truth(*DISCS[1])) > 0.95


def test_what_was_skipped_in_a_file_with_the_region_is_said(slide_path, tmp_path):
    region = tmp_path / "region.geojson"
    drawn = {"type": "Polygon", "coordinates": [[[380, 80], [640, 80], [640, 330], [380, 330], [380, 80]]]}
    features = [{"type": "Feature", "geometry": shape, "properties": {}} for shape in (drawn, None)]
    region.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    run = segment_slide(
        slide_path, tmp_path / "a.geojson", auto=str(region), object_size="120px", model=ComponentModel(256)
    )
    assert run.n_objects == 1
    assert any("region.geojson" in note and "1 of 2" in note for note in run.notes), run.notes


def test_a_stopped_run_says_how_it_goes_on_and_does(slide_path, tmp_path):
    calls = iter([False, True])
    options = {"auto": "tissue", "object_size": "30px", "model": ComponentModel(256)}
    run = segment_slide(slide_path, tmp_path / "o.geojson", should_stop=lambda: next(calls), **options)
    assert not run.finished
    assert "goes on from there" in run.notes[-1]
    assert [p.name for p in tmp_path.iterdir()] == ["o.geojson.tiles.jsonl"]
    assert segment_slide(slide_path, tmp_path / "o.geojson", **options).finished
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.geojson", "o.geojson.json"]


def test_microns_are_asked_for_only_when_the_slide_does_not_state_them(tmp_path, prompts):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, stained((800, 700), *DISCS), photometric="rgb", metadata=None)
    segment_slide(path, tmp_path / "a.geojson", prompts=prompts)
    with pytest.raises(UserInputError, match=r"plain\.tif does not say how many microns .* --mpp"):
        segment_slide(path, tmp_path / "b.geojson", auto="tissue", object_size="60um")
    run = segment_slide(
        path, tmp_path / "b.geojson", auto="tissue", object_size="60um", mpp=0.5, model=ComponentModel(256)
    )
    assert run.n_objects == 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "one of --prompts with a file, --auto"),
        ({"auto": "nowhere.geojson"}, "There is no region 'nowhere.geojson'"),
        ({"auto": "9000,9000,9100,9100"}, "does not lie on the slide"),
        ({"auto": "tissue", "object_size": "large"}, "like 60um or 240px"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(slide_path, tmp_path, options, complaint):
    with pytest.raises(UserInputError, match=complaint):
        segment_slide(slide_path, tmp_path / "o.geojson", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.nii.gz", "out", ".geojson", "missing/out.geojson"])
def test_an_output_that_cannot_be_written_is_refused_first(slide_path, tmp_path, prompts, name):
    with pytest.raises(UserInputError):
        segment_slide(slide_path, tmp_path / name, prompts=prompts)


def test_all_faults_of_a_prompt_file_are_listed_at_once(slide_path, tmp_path):
    path = tmp_path / "p.json"
    objects = [
        {"id": "a", "prompts": [{"point": [1, 2, 3]}, {"box": [[1, 2]]}]},
        {"id": 2, "nmae": "x", "prompts": [{"mask": "m.png"}]},
    ]
    path.write_text(json.dumps({"version": 2, "objects": objects}))
    with pytest.raises(PromptError) as caught:
        segment_slide(slide_path, tmp_path / "o.geojson", prompts=path)
    assert len(caught.value.faults) == 6
    assert all(fault.startswith("p.json: ") for fault in caught.value.faults)


def test_prompts_off_the_slide_are_named(slide_path, tmp_path):
    path = tmp_path / "p.json"
    objects = [
        {"id": 3, "prompts": [{"point": [900, 10]}]},
        {"id": 4, "prompts": [{"point": [1, 1], "positive": False}]},
    ]
    path.write_text(json.dumps({"version": 1, "objects": objects}))
    with pytest.raises(PromptError, match=r"object 3, prompt 1: it lies outside discs\.ome\.tif") as caught:
        segment_slide(slide_path, tmp_path / "o.geojson", prompts=path)
    assert "object 4: it has no positive prompt" in caught.value.faults[1]


def test_nuclei_are_looked_for_where_and_as_large_as_one_says(slide_path, tmp_path):
    example = tmp_path / "like.geojson"
    area = json.loads(shapely.to_geojson(truth(*DISCS[0])))
    example.write_text(json.dumps([{"type": "Feature", "geometry": area, "properties": {}}]))
    everywhere = segment_slide(slide_path, tmp_path / "all.geojson", auto="nuclei", like=example)
    upper = segment_slide(slide_path, tmp_path / "upper.geojson", auto="nuclei:0,0,400,700", object_size="60um")
    assert (everywhere.n_objects, upper.n_objects) == (3, 2)
    for obj, disc in zip(read_geojson(upper.output), sorted(DISCS[:2]), strict=True):
        assert iou(obj.geometry, truth(*disc)) > 0.85
    with pytest.raises(UserInputError, match="either --object-size or --like"):
        segment_slide(slide_path, tmp_path / "o.geojson", auto="nuclei", like=example, object_size="60um")


def _stack(tmp_path):
    """Two planes: nothing on the first, a disc on the second; one channel of 16 bits among two."""
    rows, cols = np.ogrid[:400, :400]
    bright = ((rows - 200) ** 2 + (cols - 200) ** 2 <= 60**2).astype(np.uint16) * 3000 + 200
    values = np.stack([np.full((2, 400, 400), 200, np.uint16), np.stack([np.full_like(bright, 200), bright])])
    omero = {"channels": [{"label": "other"}, {"label": "cells"}]}
    return write_image(tmp_path / "z.ome.zarr", values.transpose(1, 0, 2, 3), "czyx", (1, 1, 1, 1), omero=omero)


def test_the_chosen_plane_and_channels_are_looked_at_and_written_down(tmp_path):
    stack = _stack(tmp_path)
    objects = [{"id": 1, "prompts": [{"box": [[130, 130], [270, 270]]}]}]
    (tmp_path / "p.json").write_text(json.dumps({"version": 1, "objects": objects}))
    options = {"prompts": tmp_path / "p.json", "plane": "z=1", "channel": ["cells=white:0:4000"]}
    run = segment_slide(stack, tmp_path / "o.geojson", **options)
    assert run.notes == ()
    (obj,) = read_geojson(tmp_path / "o.geojson")
    assert obj.plane == (1, 0)
    assert iou(obj.geometry, truth(200, 200, 60)) > 0.9
    facts = json.loads((tmp_path / "o.geojson.json").read_text())["Slide"]
    assert facts["plane"] == {"Z": 1}
    assert (facts["channels"]["chosen"], facts["channels"]["windows"]) == ([1], [[0, 4000]])
    assert facts["channels"]["names"] == ["channel 0", "channel 1"]  # whatever the file calls them
    with pytest.raises(UserInputError, match="no plane z=2"):
        segment_slide(stack, tmp_path / "n.geojson", **{**options, "plane": 2})
    found = segment_slide(stack, tmp_path / "n.geojson", auto="nuclei:100,100,300,300", object_size="120px", plane=1)
    assert found.n_objects == 1
    assert read_geojson(tmp_path / "n.geojson")[0].plane == (1, 0)
