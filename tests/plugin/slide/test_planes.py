"""Stacks in the panel: the slider says which plane clicks, outlines and files mean."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sam2.plugin.slide.reader import read_slide_layers
from tests.plugin.slide.test_work import Desk
from tests.slides.conftest import stained
from tests.zarr_maker import write_image

PLACES = ((100, 120, 40), (180, 220, 50), (90, 260, 30))


@pytest.fixture
def stack(bench, tmp_path):
    """A slide of three planes with one disc on each; colours, two levels, half a micron."""
    planes = np.stack([stained((300, 360), place) for place in PLACES])
    colours = [{"color": c, "window": {"start": 0, "end": 255}} for c in ("FF0000", "00FF00", "0000FF")]
    path = write_image(
        tmp_path / "s.ome.zarr", np.ascontiguousarray(planes.transpose(3, 0, 1, 2)), "czyx", (1, 2, 0.5, 0.5), levels=2,
        omero={"channels": colours},
    )  # fmt: skip
    ((levels, fields, _),) = read_slide_layers(path)
    layer = bench.viewer.add_image(levels, **fields)
    yield Desk(bench, layer), planes
    fields["metadata"]["napari_sam2_slide"].close()


def _go(desk, z):
    desk.viewer.dims.set_point(0, z)
    desk.bench.settle()


def _click(desk, z, positive=True):
    row, col, _ = PLACES[z]
    desk.controller.pointer.click_at(tuple(desk.layer.data_to_world((z, row, col))), positive=positive)
    desk.bench.settle()


def test_the_layer_shows_every_plane(stack):
    desk, planes = stack
    assert desk.layer.axis_labels == ("z", "y", "x")
    for z in range(3):
        np.testing.assert_array_equal(np.asarray(desk.layer.data[0][z]), planes[z])
        np.testing.assert_array_equal(np.asarray(desk.layer.data[1][z]), planes[z][::2, ::2])


def test_a_click_is_answered_on_the_plane_on_view_and_outlines_stay_on_theirs(stack, tmp_path):
    desk, _ = stack
    work = desk.work
    _go(desk, 0)
    _click(desk, 0)
    _go(desk, 2)
    assert not work.result.layer.data
    desk.act("next_object")
    _click(desk, 2)
    first, second = work.snapshot.objects
    assert (first.plane, second.plane) == ((0, 0), (2, 0))
    for obj, (row, col, radius) in ((first, PLACES[0]), (second, PLACES[2])):
        assert obj.geometry.centroid.distance(obj.geometry.centroid.__class__(col, row)) < 3
        assert obj.geometry.area == pytest.approx(np.pi * radius**2, rel=0.25)
    assert len(work.result.layer.data) == 1
    work.go_to_object(first.object_id)
    desk.bench.settle()
    assert work.planes.z_and_t == (0, 0)
    assert len(work.result.layer.data) == 1
    work.save(tmp_path / "o.geojson")
    desk.bench.settle()
    features = json.loads((tmp_path / "o.geojson").read_text())["features"]
    assert [f["geometry"].get("plane") for f in features] == [None, {"c": -1, "z": 2, "t": 0}]


def test_an_object_of_another_plane_is_not_corrected_from_here(stack):
    desk, _ = stack
    _go(desk, 0)
    _click(desk, 0)
    before = desk.work.snapshot.objects[0].geometry
    _go(desk, 1)
    _click(desk, 1, positive=False)
    assert desk.work.snapshot.objects[0].geometry.equals(before)
    assert any("lies on plane z=0" in warning for warning in desk.bench.warnings)
