from pathlib import Path

import pytest

from napari_sam2.errors import UserInputError
from napari_sam2.training.split import read_split

WRITTEN = Path(__file__).parents[2] / "docs" / "models" / "small-2" / "split.toml"
# What there was to choose from when the split was written; the rule must give the written list again.
OTHERS = (
    "atlas_abdomen_gut",
    "atlas_brain_spl",
    "atlas_frog_tissue",
    "atlas_head_synthseg_01",
    "atlas_head_synthseg_07",
    "atlas_head_synthseg_10",
    "atlas_head_synthseg_13",
    "atlas_head_synthseg_17",
    "atlas_headneck_0522c0017",
    "atlas_headneck_0522c0251",
    "atlas_headneck_0522c0479",
    "atlas_headneck_0522c0768",
    "atlas_knee_dess",
    "atlas_lungs_cip",
    "atlas_mouse_devccf_e135",
    "atlas_mouse_devccf_e185",
    "atlas_mouse_devccf_p14",
    "atlas_spine_vertebrae",
    "cbct_jaw_condyle",
    "ct_abdomen_unlabelled",
    "ct_chest_cip",
    "ct_chest_slicer",
    "ct_sarcoma_024",
    "ct_tooth_unlabelled",
    "mr_body_t2_unlabelled",
    "mr_brain_cit168",
    "mr_breast_unlabelled",
    "mr_cord_t1w",
    "mr_cord_t2star",
    "mr_cord_t2w",
    "mr_head_electrodes",
    "mr_hippocampus_126",
    "mr_hippocampus_224",
    "mr_hippocampus_320",
    "mr_ms_flair_07",
    "mr_ms_flair_19",
    "mr_ms_t2_19",
    "mr_prostate_t2_unlabelled",
    "mr_sarcoma_033",
    "mr_sarcoma_036",
    "mr_sarcoma_042",
    "mr_sarcoma_048",
    "pet_sarcoma_013",
    "pet_sarcoma_025",
)


def test_the_written_list_is_what_the_rule_gives():
    split = read_split(WRITTEN)
    assert split.by_rule([*OTHERS, *split.held_out]) == split.held_out


def test_one_person_is_never_on_both_sides():
    split = read_split(WRITTEN)
    for subject in set(split.subjects.values()):
        items = [item for item, person in split.subjects.items() if person == subject]
        assert len({split.holds_out(item) for item in items}) == 1


def test_another_salt_gives_another_list(tmp_path):
    path = tmp_path / "split.toml"
    path.write_text(WRITTEN.read_text().replace("small-2/1", "small-2/2"))
    split = read_split(path)
    assert split.by_rule([*OTHERS, *split.held_out]) != split.held_out


def test_a_file_without_a_salt_is_refused(tmp_path):
    (tmp_path / "split.toml").write_text("share = 0.2")
    with pytest.raises(UserInputError, match="salt"):
        read_split(tmp_path / "split.toml")
