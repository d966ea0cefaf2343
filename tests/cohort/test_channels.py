"""Several channels of each scan of a cohort, a BIDS dataset and an evaluation."""

from __future__ import annotations

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from tests.channels.scans import two_channels
from tests.cli.test_cli import assert_refused, run
from tests.phantoms import box_on

FIRST, SECOND, INSIDE = two_channels()
AFFINE = np.diag([1.0, 1, 2, 1])
CORNERS = [list(map(int, corner)) for corner in box_on(INSIDE, 2, 8).corners]
PROMPTS = {"version": 1, "space": "voxel", "objects": [{"id": 1, "name": "lesion", "prompts": [{"box": CORNERS}]}]}


def save(voxels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def table(folder, **cells):
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([cells.keys(), cells.values()])


@pytest.fixture
def folder(tmp_path):
    """A scan called after a person, with a channel called after the same."""
    save(FIRST, tmp_path / "Roe_Jane_T1.nii.gz")
    save(SECOND, tmp_path / "Roe_Jane_T2.nii.gz")
    save(INSIDE.astype(np.uint8), tmp_path / "truth.nii.gz")
    (tmp_path / "box.json").write_text(json.dumps(PROMPTS))
    return tmp_path


def dice(path):
    found = np.asarray(nib.load(path).dataobj) == 1
    return 2 * (found & INSIDE).sum() / (found.sum() + INSIDE.sum())


def test_a_cohort_sees_the_channels_of_its_table(folder):
    scan = {"case": "one", "image": "Roe_Jane_T1.nii.gz", "prompts": "box.json"}
    table(folder, **scan, channel_1="Roe_Jane_T2.nii.gz")
    command = ("cohort", "run", "cases.csv", "-o", "out", "--model", "classical", "--workers", "1")
    result = run(*command, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert dice(folder / "out" / "one" / "labels.nii.gz") > 0.85
    facts = json.loads((folder / "out" / "one" / "labels.json").read_text())
    assert [one["Name"] for one in facts["Channels"]] == ["reference", "channel_1"]
    with (folder / "out" / "one" / "measurements.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["channel_1_mean"]) == pytest.approx(SECOND[INSIDE].mean(), rel=0.02)
    for path in (folder / "out").rglob("*"):
        if path.is_file() and path.name != "cohort.json":
            assert b"Roe" not in path.read_bytes(), path
    again = run(*command, cwd=folder)
    assert "1 skipped" in again.stdout
    save(SECOND + 1, folder / "Roe_Jane_T2.nii.gz")
    changed = run(*command, cwd=folder)
    assert "1 done" in changed.stdout, changed.stdout + changed.stderr
    # Replayed from the session, with the same columns.
    table(
        folder,
        case="one",
        image="Roe_Jane_T1.nii.gz",
        session="out/one/labels.sam2session",
        channel_1="Roe_Jane_T2.nii.gz",
    )
    replayed = run("cohort", "run", "cases.csv", "-o", "again", "--model", "classical", "--workers", "1", cwd=folder)
    assert replayed.returncode == 0, replayed.stderr
    status = json.loads((folder / "again" / "one" / "status.json").read_text())
    assert status["identical"]


@pytest.mark.parametrize(
    ("cells", "more", "words"),
    [
        ({"channel_1": "nowhere.nii.gz"}, (), ("line 2", "channel_1", "nowhere.nii.gz")),
        ({}, ("--fusion", "rgb"), ("further channels",)),
        ({"channel_1": "Roe_Jane_T2.nii.gz"}, ("--register", "soft"), ("there is only rigid",)),
        ({}, ("--channel-suffix", "T2w"), ("BIDS dataset",)),
    ],
)
def test_what_is_wrong_with_a_channel_is_said_by_line(folder, cells, more, words):
    table(folder, case="one", image="Roe_Jane_T1.nii.gz", prompts="box.json", **cells)
    command = ("cohort", "run", "cases.csv", "-o", "out", "--model", "classical")
    assert_refused(run(*command, *more, cwd=folder), 2, *words)


def test_an_evaluation_sees_the_channels_of_a_scan_and_of_a_table(folder):
    scan = ("evaluate", "Roe_Jane_T1.nii.gz", "truth.nii.gz", "--model", "classical", "--protocol", "box-propagate")
    quick = ("--no-blank", "--no-baselines", "--json", "scores.json", "--overwrite")
    scores = {}
    for name, more in (("alone", ()), ("both", ("--channel", "Roe_Jane_T2.nii.gz"))):
        result = run(*scan, *quick, *more, cwd=folder)
        assert result.returncode == 0, result.stderr
        scores[name] = json.loads((folder / "scores.json").read_text())[0]["model"]["box-propagate"]
    assert scores["both"] > scores["alone"] + 0.2
    table(folder, case="one", image="Roe_Jane_T1.nii.gz", labels="truth.nii.gz", channel_1="Roe_Jane_T2.nii.gz")
    segfm = ("evaluate", "cases.csv", "--model", "classical", "--protocol", "segfm", "--clicks", "0", *quick[2:])
    result = run(*segfm, cwd=folder)
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((folder / "scores.json").read_text())["scores"]
    assert row["box_dice"] > 0.85


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "dataset"
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"Name": "phantoms", "BIDSVersion": "1.10.0"}))
    save(FIRST, root / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    save(SECOND, root / "sub-01" / "anat" / "sub-01_T2w.nii.gz")
    prompts = root / "derivatives" / "prompts" / "sub-01" / "anat"
    prompts.mkdir(parents=True)
    (prompts / "sub-01_T1w.json").write_text(json.dumps(PROMPTS))
    return root


def test_the_bids_app_takes_other_images_of_the_session_as_channels(dataset):
    from napari_sam2.cli.bids_app import main

    output = dataset / "derivatives" / "napari-sam2"
    command = [str(dataset), str(output), "participant", "--model", "classical", "--n-procs", "1"]
    assert main([*command, "--channel-suffix", "T2w"]) == 0
    (labels,) = output.glob("sub-01/anat/*_dseg.nii.gz")
    assert dice(labels) > 0.85
    facts = json.loads(next(output.glob("sub-01/anat/*_dseg.json")).read_text())
    assert [one["Name"] for one in facts["Channels"]] == ["reference", "T2w"]


def test_the_bids_app_says_which_image_is_missing(dataset, capsys):
    from napari_sam2.cli.bids_app import main

    output = dataset / "derivatives" / "napari-sam2"
    assert main([str(dataset), str(output), "participant", "--channel-suffix", "FLAIR"]) == 2
    assert "sub-01_T1w.nii.gz: there is no such image with the suffix FLAIR" in capsys.readouterr().err


@pytest.mark.parametrize(("suffixes", "sentence"), [(("T*w",), "letters and digits"), (("T2w", "T2w"), "given twice")])
def test_a_suffix_that_is_none_or_comes_twice_is_refused(dataset, tmp_path, capsys, suffixes, sentence):
    from napari_sam2.cli import main

    command = ["cohort", "run", str(dataset), "-o", str(tmp_path / "out"), "--model", "classical"]
    assert main([*command, *(part for suffix in suffixes for part in ("--channel-suffix", suffix))]) == 2
    assert sentence in capsys.readouterr().err
