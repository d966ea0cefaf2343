"""Labelled scans in folders as others lay them out."""

import json

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.evaluation.datasets import cases_of, find_scans
from napari_sam2.hashing import sha256_of

IMAGE = np.random.default_rng(0).normal(100, 20, (8, 10, 6)).astype(np.float32)
LABELS = np.zeros((8, 10, 6), np.uint8)
LABELS[1:4, 2:6, 1:5], LABELS[5:7, 7:9, 2:4], LABELS[0, 9, 5] = 1, 2, 1
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


def saved(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


def only_case_names(scans):
    return [(case.name, case.label, int(case.truth.sum())) for scan in scans for case in cases_of(scan)]


def test_a_table_names_scans_structures_and_persons(tmp_path):
    saved(tmp_path / "files/ct.nii.gz", IMAGE)
    saved(tmp_path / "files/known.nii.gz", LABELS)
    table = tmp_path / "set.csv"
    table.write_text(
        "case,image,labels,ids,names,subject,part\n"
        "one,ct.nii.gz,known.nii.gz,2;1,kidney;liver,anna,\n"
        "two,ct.nii.gz,known.nii.gz,1,,anna,largest\n"
    )
    scans = find_scans(table, tmp_path / "files")
    assert only_case_names(scans) == [("one", "kidney", 8), ("one", "liver", 49), ("two", "object 1", 48)]
    assert {scan.subject for scan in scans} == {"anna"}


def test_all_faults_of_a_table_are_listed_with_their_lines(tmp_path):
    table = tmp_path / "set.csv"
    saved(tmp_path / "ct.nii.gz", IMAGE)
    table.write_text(
        "case,image,labels,ids,names,part\n"
        "one,ct.nii.gz,ct.nii.gz,x,,\n"
        "one,gone.nii.gz,ct.nii.gz,1;2,liver,some\n"
        ",ct.nii.gz,,,,\n"
    )
    with pytest.raises(UserInputError) as error:
        find_scans(table)
    lines = str(error.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == ["set.csv, line 2"] + ["set.csv, line 3"] * 4 + [
        "set.csv, line 4"
    ] * 2
    for words in ("whole numbers", "gone.nii.gz does not exist", "comes twice", "as many names", "largest"):
        assert words in str(error.value)


def test_unknown_columns_and_missing_ids_are_named(tmp_path):
    saved(tmp_path / "ct.nii.gz", IMAGE)
    saved(tmp_path / "known.nii.gz", LABELS)
    (tmp_path / "set.csv").write_text("case,image,labels,mask\none,ct.nii.gz,known.nii.gz,x\n")
    with pytest.raises(UserInputError, match="no column 'mask'"):
        find_scans(tmp_path / "set.csv")
    (tmp_path / "set.csv").write_text("case,image,labels,ids\none,ct.nii.gz,known.nii.gz,7\n")
    with pytest.raises(UserInputError, match="hold no id 7"):
        only_case_names(find_scans(tmp_path / "set.csv"))


@pytest.mark.parametrize(
    "labels", [{"background": 0, "liver": 1, "kidney": 2}, {"0": "b", "1": "liver", "2": "kidney"}]
)
def test_an_nnunet_data_set_of_either_version(tmp_path, labels):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    suffix = "_0000" if "liver" in labels else ""
    saved(tmp_path / f"imagesTr/case_a{suffix}.nii.gz", IMAGE)
    saved(tmp_path / "labelsTr/case_a.nii.gz", LABELS)
    assert only_case_names(find_scans(tmp_path)) == [("case_a", "liver", 49), ("case_a", "kidney", 8)]


@pytest.mark.parametrize("ids", ["\u00b2", "\u0661", "9" * 5000])
def test_ids_that_are_no_plain_numbers_are_refused(tmp_path, ids):
    saved(tmp_path / "ct.nii.gz", IMAGE)
    (tmp_path / "set.csv").write_text(f"case,image,labels,ids\none,ct.nii.gz,ct.nii.gz,{ids}\n", encoding="utf-8")
    with pytest.raises(UserInputError, match=r"^set\.csv, line 2: ids .{1,40}: give whole numbers"):
        find_scans(tmp_path / "set.csv")


def test_a_bids_folder_with_derivatives(tmp_path):
    saved(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz", IMAGE)
    saved(tmp_path / "sub-02/anat/sub-02_T1w.nii.gz", IMAGE)
    saved(tmp_path / "derivatives/known/sub-02/anat/sub-02_desc-manual_dseg.nii.gz", LABELS)
    scans = find_scans(tmp_path)
    assert [(s.subject, s.image.name) for s in scans] == [("sub-02", "sub-02_T1w.nii.gz")]
    assert len(only_case_names(scans)) == 2


def test_a_label_map_of_one_of_several_images_says_which(tmp_path):
    folder = tmp_path / "sub-01/anat"
    for suffix in ("T1w", "T2w"):
        saved(folder / f"sub-01_{suffix}.nii.gz", IMAGE)
    saved(folder / "sub-01_dseg.nii.gz", LABELS)
    with pytest.raises(UserInputError, match=r"sub-01_dseg\.nii\.gz may belong to sub-01_T1w\.nii\.gz or sub-01_T2w"):
        find_scans(tmp_path)
    assert [scan.image.name for scan in find_scans(tmp_path, channels=["T1w"])] == ["sub-01_T2w.nii.gz"]
    for sources in (["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"], "sub-01_T1w.nii.gz"):
        (folder / "sub-01_dseg.json").write_text(json.dumps({"Sources": sources}))
        assert [scan.image.name for scan in find_scans(tmp_path, channels=["T1w"])] == ["sub-01_T1w.nii.gz"]
    (folder / "sub-01_dseg.nii.gz").rename(folder / "sub-01_desc-T2w_dseg.nii.gz")
    assert [scan.image.name for scan in find_scans(tmp_path)] == ["sub-01_T2w.nii.gz"]


def test_an_image_that_is_named_and_not_there_is_told_even_if_another_fits(tmp_path):
    saved(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz", IMAGE)
    saved(tmp_path / "sub-01/anat/sub-01_dseg.nii.gz", LABELS)
    beside = tmp_path / "sub-01/anat/sub-01_dseg.json"
    beside.write_text(json.dumps({"Sources": ["bids::sub-01/anat/sub-01_T2w.nii.gz"]}))
    with pytest.raises(UserInputError, match=r"names sub-01_T2w\.nii\.gz, which is not here; .*sub-01_T1w"):
        find_scans(tmp_path)
    for other in (["sub-01_T1w.nii.gz", "other.txt"], ["sub-01_dseg.nii.gz"], [3], 3, None, ["sha256:0"]):
        beside.write_text(json.dumps({"Sources": other}))
        assert [scan.image.name for scan in find_scans(tmp_path)] == ["sub-01_T1w.nii.gz"]


def test_of_two_copies_of_one_name_none_is_taken_silently(tmp_path):
    raw, other = tmp_path / "sub-01/anat/sub-01_T1w.nii.gz", tmp_path / "old/sub-01/anat/sub-01_T1w.nii.gz"
    saved(raw, IMAGE)
    saved(other, IMAGE)
    labels = tmp_path / "sub-01/anat/sub-01_dseg.nii.gz"
    saved(labels, LABELS)
    other.write_bytes(raw.read_bytes())
    assert find_scans(tmp_path)[0].image.name == raw.name
    saved(other, IMAGE + 1)
    with pytest.raises(UserInputError, match=r"any of old/sub-01/anat/sub-01_T1w\.nii\.gz and sub-01/anat/.*differ"):
        find_scans(tmp_path)
    beside = tmp_path / "sub-01/anat/sub-01_dseg.json"
    beside.write_text(json.dumps({"Sources": ["bids::sub-01/anat/sub-01_T1w.nii.gz"]}))
    assert find_scans(tmp_path)[0].image == raw
    beside.write_text(json.dumps({"Sources": ["sub-01_T1w.nii.gz"], "Source": {"sha256": sha256_of(other)}}))
    assert find_scans(tmp_path)[0].image == other


@pytest.mark.parametrize("text", ["ct.nii.gz", "again=./ct.nii.gz"])
def test_a_channel_that_is_the_image_itself_is_refused_with_its_line(tmp_path, text):
    saved(tmp_path / "ct.nii.gz", IMAGE)
    saved(tmp_path / "known.nii.gz", LABELS)
    (tmp_path / "set.csv").write_text(f"case,image,labels,channel_1\none,ct.nii.gz,known.nii.gz,{text}\n")
    with pytest.raises(UserInputError, match=r"set\.csv, line 2: (channel_1|again) is the image itself"):
        find_scans(tmp_path / "set.csv")


def test_the_challenges_files_keep_place_and_spacing(tmp_path):
    spacing = np.array([3.0, 1.0, 0.5])
    np.savez_compressed(tmp_path / "ct_7.npz", imgs=IMAGE.T.astype(np.uint8), gts=LABELS.T, spacing=spacing)
    case = next(cases_of(find_scans(tmp_path)[0]))
    assert case.name == "ct_7"
    assert case.axis == 2
    assert case.volume.spacing == (0.5, 1.0, 3.0)
    assert np.array_equal(case.truth, LABELS == 1)


def test_a_folder_with_nothing_labelled_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="holds no labelled scans"):
        find_scans(tmp_path)
    with pytest.raises(UserInputError, match=r"ends in \.csv"):
        find_scans(tmp_path / "gone.txt")
