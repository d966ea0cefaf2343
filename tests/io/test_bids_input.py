from __future__ import annotations

import shutil

import pytest

from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.io.bids_input import find_cases
from tests.cohort.cases import write_case


@pytest.fixture
def dataset(tmp_path):
    """Two subjects; one with two sessions, and an image without prompts."""
    root = tmp_path / "dataset"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    write_case(tmp_path / "made", "a")
    for where, name in (
        ("sub-01/anat", "sub-01_T1w"),
        ("sub-02/ses-1/anat", "sub-02_ses-1_T1w"),
        ("sub-02/ses-2/anat", "sub-02_ses-2_T1w"),
        ("sub-02/ses-2/anat", "sub-02_ses-2_T2w"),
    ):
        (root / where).mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "made" / "a.nii.gz", root / where / f"{name}.nii.gz")
        if not name.endswith("T2w"):
            prompts = root / "derivatives" / "prompts" / where
            prompts.mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / "made" / "a.json", prompts / f"{name}.json")
    return root


def test_images_with_prompts_are_the_cases(dataset):
    rows = find_cases(dataset)
    assert [row.case for row in rows] == ["sub-01_T1w", "sub-02_ses-1_T1w", "sub-02_ses-2_T1w"]
    assert [row.subject for row in rows] == ["01", "02", "02"]
    assert all(row.image.is_file() for row in rows)


@pytest.mark.parametrize("labels", [["02"], ["sub-02"]])
def test_participants_are_chosen_with_or_without_their_prefix(dataset, labels):
    assert len(find_cases(dataset, participants=labels)) == 2
    assert [row.case for row in find_cases(dataset, participants=labels, sessions=["2"])] == ["sub-02_ses-2_T1w"]


def test_a_participant_that_is_not_there_and_a_lost_image_are_named_together(dataset):
    (dataset / "sub-01" / "anat" / "sub-01_T1w.nii.gz").unlink()
    with pytest.raises(ManifestError) as raised:
        find_cases(dataset, participants=["01", "07"])
    assert len(raised.value.faults) == 2
    assert "sub-01_T1w.nii.gz" in raised.value.faults[0]
    assert "sub-07" in raised.value.faults[1]


def test_a_dataset_without_prompts_says_where_they_belong(dataset):
    shutil.rmtree(dataset / "derivatives")
    with pytest.raises(UserInputError, match="derivatives/prompts/sub-01"):
        find_cases(dataset)


def test_a_packed_and_an_unpacked_copy_of_one_image_are_not_chosen_between(dataset):
    (dataset / "sub-01" / "anat" / "sub-01_T1w.nii").write_bytes(b"another one")
    with pytest.raises(ManifestError, match=r"has sub-01_T1w\.nii\.gz and sub-01_T1w\.nii; keep one"):
        find_cases(dataset)
