from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.io import read_labels, read_volume
from napari_sam2.io.bids import BidsName, write_bids_derivative
from napari_sam2.io.sidecar import Provenance


@pytest.fixture
def volume(scan, tmp_path):
    path = tmp_path / "sub-01_ses-02_acq-fast_run-1_T1w.nii.gz"
    shutil.copy(scan, path)
    return read_volume(path)


def test_names_and_folders_follow_the_standard(tmp_path, volume, labels):
    written = write_bids_derivative(labels, volume, tmp_path / "d", Provenance())
    stem = "sub-01/ses-02/anat/sub-01_ses-02_acq-fast_run-1_desc-T1w_dseg"
    names = {p.relative_to(tmp_path / "d").as_posix() for p in written}
    assert names == {"dataset_description.json", "README", *(stem + end for end in (".nii.gz", ".json", ".tsv"))}
    np.testing.assert_array_equal(read_labels(tmp_path / "d" / f"{stem}.nii.gz", volume), labels)
    description = json.loads((tmp_path / "d" / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "napari-sam2"
    sidecar = json.loads((tmp_path / "d" / f"{stem}.json").read_text())
    assert {"Description", "Sources", "SpatialReference", "Manual"} <= set(sidecar)


def test_a_second_label_map_leaves_the_dataset_files_alone(tmp_path, volume, labels):
    write_bids_derivative(labels, volume, tmp_path / "d", Provenance())
    (tmp_path / "d" / "dataset_description.json").write_text("{}")
    write_bids_derivative(labels, volume, tmp_path / "d", Provenance(), description="second")
    assert (tmp_path / "d" / "dataset_description.json").read_text() == "{}"


def test_without_a_bids_name_the_subject_must_be_given(tmp_path, scan, labels):
    volume = read_volume(scan)
    with pytest.raises(UserInputError, match="give the subject"):
        write_bids_derivative(labels, volume, tmp_path / "d", Provenance())
    written = write_bids_derivative(labels, volume, tmp_path / "d", Provenance(), subject="sub-07")
    assert any(p.name == "sub-07_desc-manual_dseg.nii.gz" for p in written)


@pytest.mark.parametrize(("subject", "description"), [("a/b", ""), ("../x", ""), ("01", "a_b")])
def test_entities_with_other_characters_are_refused(tmp_path, volume, labels, subject, description):
    with pytest.raises(UserInputError, match="letters and digits"):
        write_bids_derivative(labels, volume, tmp_path / "d", Provenance(), subject=subject, description=description)


@pytest.mark.parametrize("name", ["scan.nii.gz", "sub-01.nii.gz", "ses-01_T1w.nii.gz", "sub-01_x_T1w.nii.gz"])
def test_names_that_are_not_bids_are_refused(name):
    with pytest.raises(UserInputError, match="is not a BIDS name"):
        BidsName.parse(name)


@pytest.mark.parametrize("entity", ["inv-1", "part-mag", "chunk-2", "hemi-L", "echo-1", "flip-2", "res-hi", "label-x"])
def test_images_that_differ_in_one_entity_get_two_label_maps(entity):
    one = BidsName.parse(f"sub-01_{entity}_T1w.nii.gz").derivative("T1w")
    other = BidsName.parse("sub-01_T1w.nii.gz").derivative("T1w")
    assert one != other
    assert f"_{entity}_" in one.name


def test_an_entity_that_bids_does_not_know_is_refused(tmp_path, volume, labels):
    odd = replace(volume, source=replace(volume.source, name="sub-01_colour-red_T1w.nii.gz"))
    for subject in ("", "01"):
        with pytest.raises(UserInputError, match="entity 'colour'"):
            write_bids_derivative(labels, odd, tmp_path / "d", Provenance(), subject=subject)
    with pytest.raises(UserInputError, match="not a BIDS name"):
        BidsName.parse("sub-01_run-1_run-2_T1w.nii.gz")
