"""A general detector behind the command line: a tiny network of the real class knows nothing, and finds nothing."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cli.app import main
from napari_sam2.finding.detection import EXPERIMENTAL, Detection
from napari_sam2.finding.job import accepted_from
from napari_sam2.jobs.segment import segment_scan
from tests.finding.detectors.scripted import Scripted
from tests.finding.detectors.tiny import write_sam3
from tests.finding.project import write_project
from tests.finding.test_detection import phantom


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detector")
    write_sam3(folder)
    return str(folder)


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path, finished=1, new=1)
    return tmp_path


def test_it_is_told_to_be_experimental_and_an_empty_list_is_no_error(project, detector, capsys):
    before = {path.name for path in project.iterdir()}
    assert main(["find", str(project / "s01.nii.gz"), "liver", "--detector", detector, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["candidates"] == []
    assert EXPERIMENTAL.split(":")[0] in told.err
    assert {path.name for path in project.iterdir()} == before
    out = project / "out.nii.gz"
    arguments = ["--text", "liver", "--detector", detector, "--model", "classical", "-o", str(out)]
    assert main(["segment", str(project / "s01.nii.gz"), *arguments]) == 2
    assert "not found" in capsys.readouterr().err
    assert not out.exists()


def test_what_is_no_detector_is_one_sentence(project, capsys):
    scan = str(project / "s01.nii.gz")
    assert main(["find", scan, "liver", "--detector", str(project)]) == 3
    assert main(["find", scan, "liver", "--detector", str(project / "nothing")]) == 2
    assert main(["find", scan, "liver", "--detector", "no-one/nothing-of-this-name"]) == 3
    told = capsys.readouterr().err
    assert "holds no config.json" in told
    assert "There is no folder" in told
    assert "nothing is downloaded here" in told
    assert "Traceback" not in told


def test_a_cohort_in_which_nothing_is_found_fails_case_by_case_with_that_sentence(project, detector, capsys):
    out = project / "results"
    arguments = ["--text", "liver", "--detector", detector, "--model", "classical", "--shard", "1/1", "--json"]
    assert main(["cohort", "run", str(project / "project.csv"), "-o", str(out), *arguments]) == 1
    assert json.loads(capsys.readouterr().out)["done"] == 0
    status = json.loads((out / "s01" / "status.json").read_text())
    assert "not found" in status["error"]
    assert not list(out.glob("*/labels.nii.gz"))


def test_a_detector_has_no_mask_to_be_taken_and_is_the_only_source(project, detector, capsys):
    scan, out = str(project / "s01.nii.gz"), ["-o", str(project / "out.nii.gz")]
    source = ["--text", "liver", "--detector", detector]
    assert main(["segment", scan, *source, "--answer", "proposed", *out]) == 2
    assert "a detector gives boxes" in capsys.readouterr().err
    assert main(["find", scan, "liver", "--detector", detector, "--memory", str(project / "project.csv")]) == 2
    assert "Give one of --memory, --program and --detector" in capsys.readouterr().err


def test_an_answer_without_a_name_is_refused(project, capsys):
    scan, out = str(project / "s01.nii.gz"), project / "out.nii.gz"
    box = ["--box", "10,10,10,20,20,10", "--answer", "model", "--model", "classical"]
    assert main(["segment", scan, *box, "-o", str(out)]) == 2
    manifest = str(project / "project.csv")
    assert main(["cohort", "run", manifest, "-o", str(project / "results"), "--answer", "proposed"]) == 2
    assert capsys.readouterr().err.count("give it with --text") == 2
    assert not out.exists()


def test_its_files_are_never_written_over(project, detector):
    target = f"{detector}/config.json"
    assert (
        main(["find", str(project / "s01.nii.gz"), "liver", "--detector", detector, "-o", target, "--overwrite"]) == 2
    )


def test_what_it_finds_is_segmented_with_its_origin_and_replayed_without_it(tmp_path, capsys):
    scan, out = tmp_path / "scan.nii.gz", tmp_path / "out.nii.gz"
    volume = phantom()
    nib.save(nib.Nifti1Image(volume.voxels, volume.affine), scan)
    proposer = Detection(Scripted, tmp_path)
    told = []
    source = accepted_from(proposer, ["left kidney"], say=told.append)
    segment_scan(scan, out, source, model="classical", window="127/255", keep_session=True)
    assert told[0] == EXPERIMENTAL
    labels = np.asarray(nib.load(out).dataobj) == 1
    truth = np.zeros(volume.shape, bool)
    truth[12:21, 10:19, 8:22] = True
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.8
    assert "found by scripted" in (tmp_path / "out.json").read_text()
    assert main(["replay", str(tmp_path / "out.sam2session"), "-o", str(tmp_path / "again.nii.gz")]) == 0
    assert (labels == (np.asarray(nib.load(tmp_path / "again.nii.gz").dataobj) == 1)).all()
