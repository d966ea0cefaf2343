from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest

from napari_sam2.core.prompts import Box, MaskPrompt, ObjectPrompts, Point
from napari_sam2.core.window import Window
from napari_sam2.errors import UserInputError
from napari_sam2.io import read_volume, write_labels
from napari_sam2.io.sidecar import Provenance, as_json_text, finite, sidecar_paths, write_sidecars


@pytest.fixture
def written(scan, tmp_path, labels):
    volume = read_volume(scan)
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    objects = [
        ObjectPrompts(1, (Box(((3, 4, 2), (6, 11, 2))), Point((1.5, 2, 2), positive=False)), "liver"),
        ObjectPrompts(2, (MaskPrompt(labels[:, :, 4] == 2, axis=2, index=4),), "=cmd()\tx"),
        ObjectPrompts(5, (Point((1, 2, 3)),), "empty"),
    ]
    provenance = Provenance(
        model={"name": "classical", "sha256": "", "license": "Apache-2.0"},
        window=Window(0, 100, "percentile"),
        slice_axis=2,
        objects=objects,
        device="cpu",
        settings={"direction": "both"},
    )
    json_path, tsv_path = write_sidecars(out, labels, volume, provenance)
    return volume, out, json.loads(json_path.read_text(encoding="utf-8")), tsv_path.read_text(encoding="utf-8")


def test_the_json_says_from_what_and_how_the_labels_were_made(written, scan):
    volume, out, facts, _ = written
    assert facts["Sources"] == ["scan.nii.gz"]
    assert facts["Source"]["sha256"] == hashlib.sha256(scan.read_bytes()).hexdigest()
    assert facts["Source"]["Shape"] == [12, 20, 8]
    np.testing.assert_array_equal(facts["Source"]["AffineRASMM"], volume.affine)
    assert facts["Model"]["name"] == "classical"
    assert facts["Preprocessing"] == {
        "Window": {"Name": "percentile", "Low": 0, "High": 100},
        "SliceAxis": 2,
        "Plane": "axial",
    }
    assert [p["Kind"] for p in facts["Prompts"]] == ["box", "point", "mask", "point"]
    assert facts["Prompts"][0]["Values"] == [[3, 4, 2], [6, 11, 2]]
    assert facts["IntendedUse"].startswith("Research only")
    assert {"python", "numpy", "torch", "napari-sam2", "device"} <= set(facts["Environment"])
    assert facts["Outputs"][0]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()


def test_volumes_are_in_millilitres(written, labels):
    _, _, facts, table = written
    expected = (labels == 1).sum() * 0.8 * 0.8 * 3 / 1000
    assert facts["Outputs"][0]["Labels"]["1"]["VolumeML"] == pytest.approx(expected, rel=1e-5)
    assert facts["Outputs"][0]["Labels"]["5"] == {"Name": "empty", "Voxels": 0, "VolumeML": 0}
    assert float(table.splitlines()[1].split("\t")[5]) == pytest.approx(expected, rel=1e-5)


def test_the_table_has_one_row_per_structure_that_no_spreadsheet_runs(written):
    rows = [line.split("\t") for line in written[3].splitlines()]
    assert rows[0] == ["index", "name", "color", "code", "voxels", "volume_ml", "meaning", "category"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "5"]
    assert rows[1][3] == "SCT:10200004"
    assert rows[2][1] == "'=cmd() x"
    assert all(re.fullmatch("#[0-9a-f]{6}", row[2]) for row in rows[1:])
    assert len({row[2] for row in rows[1:]}) == 3


def test_no_folder_name_is_in_the_sidecars(written, tmp_path):
    _, _, facts, table = written
    assert str(tmp_path) not in json.dumps(facts) + table
    assert tmp_path.name not in json.dumps(facts) + table


def test_the_source_can_be_named_by_its_hash_alone(scan, tmp_path, labels):
    volume = read_volume(scan)
    out = write_labels(labels, volume, tmp_path / "out.nii.gz")
    json_path, _ = write_sidecars(out, labels, volume, Provenance(hide_source_name=True))
    text = json_path.read_text()
    assert "scan.nii.gz" not in text
    assert json.loads(text)["Sources"] == [f"sha256:{volume.source.sha256}"]


def test_earlier_sidecars_are_replaced_only_when_asked(written, labels):
    volume, out, *_ = written
    with pytest.raises(UserInputError, match="exists already"):
        write_sidecars(out, labels, volume, Provenance())
    write_sidecars(out, labels, volume, Provenance(), overwrite=True)


@pytest.mark.parametrize("name", ["a.b.nii.gz", "a.b.nii", "a.b.seg.nrrd", "a.b.dcm"])
def test_sidecars_are_named_after_the_label_map(tmp_path, name):
    assert [p.name for p in sidecar_paths(tmp_path / name)] == ["a.b.json", "a.b.tsv"]


def test_numbers_that_are_not_finite_are_none_in_strict_json():
    nan = float("nan")
    facts = {"a": nan, "b": [1.5, (float("inf"), np.float64("nan"))], "c": {"d": -float("inf"), "e": "nan", "f": None}}
    told = json.loads(as_json_text(finite(facts)), parse_constant=pytest.fail)
    assert told == {"a": None, "b": [1.5, [None, None]], "c": {"d": None, "e": "nan", "f": None}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json_text({"a": nan})
