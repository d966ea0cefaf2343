from __future__ import annotations

import csv
import json

import numpy as np
import pydicom
import pytest

from napari_sam2.core.prompts import ObjectPrompts, Point
from napari_sam2.errors import GeometryError, UserInputError
from napari_sam2.io import read_labels, read_volume, write_labels
from napari_sam2.io.export import EXPORTABLE, export_labels, find_names
from napari_sam2.io.labels import read_named_labels
from napari_sam2.io.measurements import agreement_file, growth_file, measure_file, write_rows
from napari_sam2.io.sidecar import Provenance, write_sidecars
from napari_sam2.sample_data import sample
from napari_sam2.terms.terminology import Code, Term

from .dicom_maker import make_series


@pytest.fixture
def saved(scan, tmp_path, labels):
    """A label map with ids 5 and 9 and its sidecars."""
    ids = np.array([0, 5, 9])[labels]
    volume = read_volume(scan)
    path = write_labels(ids, volume, tmp_path / "labels.nii.gz")
    objects = [ObjectPrompts(5, (Point((4, 5, 3)),), "liver"), ObjectPrompts(9, (Point((9, 5, 4)),), "=x()")]
    write_sidecars(path, ids, volume, Provenance(model={"name": "m", "sha256": "abc"}, objects=objects))
    return path, ids, volume


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".seg.nrrd"])
def test_a_saved_label_map_is_exported_with_its_names(tmp_path, scan, saved, ending):
    path, ids, volume = saved
    done = export_labels(path, scan, tmp_path / f"out{ending}")
    assert [(s.label_id, s.name) for s in done.structures] == [(5, "liver"), (9, "=x()")]
    labels, names = read_named_labels(done.path, volume)
    np.testing.assert_array_equal(labels, ids)
    assert names == ({5: "liver", 9: "=x()"} if ending == ".seg.nrrd" else {})


def test_a_chain_through_all_formats_ends_with_the_same_voxels(tmp_path, labels):
    make_series(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct")
    ids = np.zeros(volume.shape, np.uint8)
    ids[2:9, 3:12, 1:4], ids[10:14, 3:12, 2:6] = 1, 2
    path = write_labels(ids, volume, tmp_path / "a.nii.gz")
    for name in ("b.seg.nrrd", "c.dcm", "d.nii"):
        path = export_labels(path, tmp_path / "ct", tmp_path / name, names={1: "liver", 2: "spleen"}).path
    np.testing.assert_array_equal(read_labels(path, volume), ids)


def test_a_chosen_code_and_colour_go_from_the_table_into_a_seg(tmp_path):
    make_series(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct")
    ids = np.full(volume.shape, 7, np.uint8)
    path = write_labels(ids, volume, tmp_path / "a.nii.gz")
    term = Term("our target", Code("T7", "Target volume", "abnormal", "99LOCAL"), (255, 0, 128))
    write_sidecars(path, ids, volume, Provenance(objects=[ObjectPrompts(7, (), term.name)], terms={7: term}))
    export_labels(path, tmp_path / "ct", tmp_path / "seg.dcm")
    segment = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence[0]
    code = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("T7", "99LOCAL", "Target volume")
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.SegmentLabel == "our target"
    done = export_labels(path, tmp_path / "ct", tmp_path / "b.nii", names={7: "liver"})
    assert done.structures[0].code.value == "10200004"


def test_a_seg_names_the_model(tmp_path):
    make_series(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct")
    ids = np.full(volume.shape, 7, np.uint8)
    path = write_labels(ids, volume, tmp_path / "a.nii.gz")
    write_sidecars(path, ids, volume, Provenance(model={"name": "some-model", "sha256": "abc"}))
    done = export_labels(path, tmp_path / "ct", tmp_path / "seg.dcm", labelmap=True)
    assert done.mapping == {7: 1}
    ds = pydicom.dcmread(done.path)
    assert ds.SegmentationType == "LABELMAP"
    algorithm = next(s for s in ds.SegmentSequence if "SegmentationAlgorithmIdentificationSequence" in s)
    assert "some-model" in algorithm.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters


def test_consecutive_ids_keep_their_mapping_beside_the_file(tmp_path, scan, saved):
    path, ids, volume = saved
    done = export_labels(path, scan, tmp_path / "nnunet.nii.gz", consecutive=True)
    np.testing.assert_array_equal(read_labels(done.path, volume), np.searchsorted([0, 5, 9], ids))
    rows = json.loads((tmp_path / "nnunet_ids.json").read_text())
    assert [(r["id"], r["source_id"], r["name"]) for r in rows] == [(1, 5, "liver"), (2, 9, "=x()")]


@pytest.mark.parametrize("ending", [".txt", ".ctbl"])
def test_tables_are_exported_alone(tmp_path, scan, saved, ending):
    done = export_labels(saved[0], scan, tmp_path / f"table{ending}")
    assert "liver" in done.path.read_text()


def test_unknown_endings_inputs_and_existing_files_are_refused(tmp_path, scan, saved):
    path = saved[0]
    with pytest.raises(UserInputError, match="ending must be one of"):
        export_labels(path, scan, tmp_path / "x.mat")
    for same in (path, scan):
        with pytest.raises(UserInputError, match="one of the inputs"):
            export_labels(path, scan, same, overwrite=True)
    for ending in EXPORTABLE:
        if ending == ".dcm":
            continue
        existing = tmp_path / ("there" + ending)
        existing.write_text("mine")
        with pytest.raises(UserInputError, match=r"exists already|many programs"):
            export_labels(path, scan, existing)
        assert existing.read_text() == "mine"
        existing.unlink()


def test_labels_of_another_scan_are_refused(tmp_path, saved):
    with pytest.raises(GeometryError):
        export_labels(saved[0], sample("mr_spine")[0], tmp_path / "x.nii.gz")


@pytest.mark.parametrize("content", ["", "nonsense", "index\tname\nx\ty\n", "index\n1\n"])
def test_a_table_that_cannot_be_read_gives_no_names(saved, content):
    saved[0].with_name("labels.tsv").write_text(content)
    assert find_names(saved[0]) == {}


def test_measurements_of_files_are_rows_with_names(tmp_path, scan, saved):
    rows = measure_file(scan, saved[0])
    assert [(r["case"], r["id"], r["name"]) for r in rows] == [
        ("scan.nii.gz", 5, "liver"),
        ("scan.nii.gz", 9, "=x()"),
    ]
    text = write_rows(rows, tmp_path / "m.csv").read_text(encoding="utf-8")
    read = list(csv.DictReader(text.splitlines()))
    assert float(read[0]["volume_ml"]) == pytest.approx(rows[0]["volume_ml"], rel=1e-5)
    assert read[1]["name"] == "'=x()"


def test_growth_of_files_leaves_missing_objects_blank(tmp_path, scan, saved):
    path, ids, volume = saved
    later = ids.copy()
    later[ids == 9] = 0
    later[7:9, 4:12, 2:5] = 5
    after = write_labels(later, volume, tmp_path / "after.nii.gz")
    liver, gone = growth_file((scan, path), (scan, after))
    assert liver["volume_change_percent"] == pytest.approx(50)
    assert liver["volume_ml_after"] == pytest.approx(1.5 * liver["volume_ml_before"])
    text = write_rows([liver, gone], tmp_path / "growth.csv").read_text()
    assert ",," in text.splitlines()[2]


def test_agreement_of_files_is_computed_id_by_id(tmp_path, scan, saved):
    path, ids, volume = saved
    other = write_labels(np.roll(ids, 1, axis=0), volume, tmp_path / "other.nii.gz")
    rows = agreement_file(scan, other, path)
    assert [r["name"] for r in rows] == ["liver", "=x()"]
    assert rows[0]["dice"] == pytest.approx(0.75)
    assert agreement_file(scan, path, path)[1]["nsd"] == 1
