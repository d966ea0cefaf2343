"""Finished scans: what is found, and one sentence with its line for whatever cannot be used."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.tuning.cases import find_cases
from tests.tuning.sessions import session_beside


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> None:
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)


def test_a_manifest_gives_scans_with_names_and_hashes(scans: Path):
    found = find_cases([scans])
    assert [scan.subject for scan in found] == ["ann", "ben", "cem", "dov", "eva"]
    assert dict(found[0].names) == {1: "ball"}
    assert len({scan.sha256 for scan in found}) == 5
    volume, labels, _ = found[0].read()
    assert labels.shape == volume.shape


def test_a_case_without_a_subject_is_its_own(scans: Path):
    scans.write_text("\n".join(",".join(line.split(",")[:3]) + ",ball" for line in scans.read_text().splitlines()))
    scans.write_text(scans.read_text().replace("case,image,labels,ball", "case,image,labels,name"))
    assert find_cases([scans])[1].subject == "case-1"


def test_every_fault_is_one_sentence_with_its_line(scans: Path):
    folder, labels = scans.parent, np.zeros((24, 22, 10), np.uint8)
    labels[5:9, 5:9, 4] = 1
    save(folder / "ann_labels.nii.gz", labels, np.diag([2.0, 2.0, 2.0, 1.0]))
    two = labels.copy()
    two[12:15, 5:9, 4] = 2
    save(folder / "ben_labels.nii.gz", two)
    save(folder / "cem_labels.nii.gz", np.zeros_like(labels))
    save(folder / "dov.nii.gz", np.zeros((24, 22, 10, 3), np.float32))
    text = scans.read_text().replace("ben_labels.nii.gz,ben,ball", "ben_labels.nii.gz,ben,")
    scans.write_text(text.replace("eva_labels.nii.gz,eva,ball", "eva_labels.nii.gz,eva,7=ball"))
    with pytest.raises(ManifestError) as caught:
        find_cases([scans])
    faults = caught.value.faults
    assert [fault.partition(":")[0] for fault in faults] == [f"manifest.csv, line {n}" for n in (2, 3, 4, 5, 6)]
    for fault, words in zip(
        faults, ("ann_labels", "ids without names (1, 2)", "cem_labels.nii.gz is empty", "dov.nii.gz", "no id 7"),
        strict=True,
    ):  # fmt: skip
        assert words in fault, fault


def test_names_beside_the_label_map_count(scans: Path):
    (scans.parent / "ann_labels.tsv").write_text("index\tname\n1\tglobe\n")
    scans.write_text(scans.read_text().replace("ann_labels.nii.gz,ann,ball", "ann_labels.nii.gz,ann,"))
    assert dict(find_cases([scans])[0].names) == {1: "globe"}


def test_a_name_that_is_no_name_is_named_with_its_line(scans: Path):
    scans.write_text(scans.read_text().replace("ann_labels.nii.gz,ann,ball", "ann_labels.nii.gz,ann,x=ball"))
    with pytest.raises(ManifestError, match="line 2: the name 'x=ball'"):
        find_cases([scans])


def test_a_folder_that_is_neither_a_dataset_nor_a_session_is_refused(tmp_path: Path):
    with pytest.raises(UserInputError, match="manifest"):
        find_cases([tmp_path])


def test_only_finished_objects_of_a_session_count(scans: Path):
    folder = session_beside(scans.parent / "ann.nii.gz", finished=True)
    found = find_cases([folder])[0]
    assert dict(found.names) == {1: "ball"}
    assert found.image.name == "ann.nii.gz"
    assert set(np.unique(found.read()[1])) == {0, 1}


def test_a_session_without_a_finished_object_is_refused_by_name(scans: Path):
    folder = session_beside(scans.parent / "ann.nii.gz", finished=False)
    with pytest.raises(ManifestError, match=r"nothing in ann\.sam2session is marked as finished"):
        find_cases([folder])


def test_an_image_of_two_subjects_is_refused_with_both_lines(scans: Path):
    text = scans.read_text()
    scans.write_text(text + "case-9,ann.nii.gz,ann_labels.nii.gz,zoe,ball\n")
    with pytest.raises(
        ManifestError, match=r"line 7: ann\.nii\.gz is given for another subject in manifest\.csv, line 2"
    ):
        find_cases([scans])
    scans.write_text(text + "case-9,ann.nii.gz,ann_labels.nii.gz,ann,ball\n")
    assert len(find_cases([scans])) == 6
