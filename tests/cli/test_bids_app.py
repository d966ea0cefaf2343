from __future__ import annotations

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cli.bids_app import main
from tests.cohort.cases import write_case


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "dataset"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "balls", "BIDSVersion": "1.10.0"}')
    for subject, seed in (("01", 1), ("02", 2)):
        write_case(tmp_path / "made", "a", seed=seed)
        for folder, ending in ((root, "nii.gz"), (root / "derivatives" / "prompts", "json")):
            where = folder / f"sub-{subject}" / "anat"
            where.mkdir(parents=True)
            shutil.copy(tmp_path / "made" / f"a.{ending}", where / f"sub-{subject}_T1w.{ending}")
    return root


def test_participants_one_by_one_then_the_group(dataset, tmp_path, capsys):
    out = tmp_path / "derivatives"
    common = ["participant", "--model", "classical", "--n-procs", "1", "--participant-label"]
    assert main([str(dataset), str(out), *common, "sub-02"]) == 0
    assert main([str(dataset), str(out), *common, "01"]) == 0
    assert main([str(dataset), str(out), "group"]) == 0
    capsys.readouterr()
    for subject in ("01", "02"):
        labels = out / f"sub-{subject}" / "anat" / f"sub-{subject}_desc-T1w_dseg.nii.gz"
        assert np.asarray(nib.load(labels).dataobj).any()
        facts = json.loads(labels.with_name(f"sub-{subject}_desc-T1w_dseg.json").read_text())
        assert facts["Sources"] == [f"bids:raw:sub-{subject}/anat/sub-{subject}_T1w.nii.gz"]
        assert facts["Outputs"][0]["File"] == labels.name
        assert labels.with_name(f"sub-{subject}_desc-T1w_dseg.tsv").read_text().startswith("index\tname")
    description = json.loads((out / "dataset_description.json").read_text())
    assert (out / description["DatasetLinks"]["raw"] / "sub-01").is_dir()
    with (out / "cohort" / "cohort.csv").open(newline="") as file:
        assert [(row["case"], row["state"]) for row in csv.DictReader(file)] == [
            ("sub-01_T1w", "done"),
            ("sub-02_T1w", "done"),
        ]


@pytest.mark.parametrize("level", ["participant", "group"])
def test_the_output_is_never_the_dataset_the_prompts_or_the_model(dataset, tmp_path, capsys, level):
    prompts = dataset / "derivatives" / "prompts"
    link = tmp_path / "link"
    link.symlink_to(dataset)
    (tmp_path / "model").mkdir()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for output in (dataset, link, dataset / ".." / dataset.name, prompts, tmp_path / "model"):
        options = ["--prompts", str(prompts), "--model", str(tmp_path / "model")]
        assert main([str(dataset), str(output), level, *options]) == 2
        assert "is one of the inputs" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_participant_that_is_not_there_is_bad_input(dataset, tmp_path, capsys):
    assert main([str(dataset), str(tmp_path / "o"), "participant", "--participant-label", "09"]) == 2
    assert "no prompts for sub-09" in capsys.readouterr().err


@pytest.mark.parametrize(
    "where", [".", "sub-01", "derivatives", "derivatives/prompts", "derivatives/prompts/deeper", "derivatives/other"]
)
def test_raw_data_prompts_and_other_derivatives_are_never_written_into(dataset, where, capsys):
    (dataset / "derivatives" / "other").mkdir()
    other = {"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (dataset / "derivatives" / "other" / "dataset_description.json").write_text(json.dumps(other))
    before = sorted(dataset.rglob("*"))
    assert main([str(dataset), str(dataset / where), "participant", "--model", "classical"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(dataset.rglob("*")) == before


def test_negative_processes_are_bad_input(dataset, tmp_path, capsys):
    assert main([str(dataset), str(tmp_path / "o"), "participant", "--n-procs", "-3"]) == 2
    assert "--n-procs -3" in capsys.readouterr().err
