from __future__ import annotations

import hashlib
import json
import sys

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cli.app import main
from tests.finding.project import noise_scan, subject, write_project


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path, finished=1, new=1)
    return tmp_path


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


def test_a_name_becomes_prompts_that_segment_takes_and_replay_repeats_without_a_memory(project, capsys):
    before = hashes(project)
    scan, prompts = str(project / "s01.nii.gz"), project / "prompts.json"
    assert main(["find", scan, "Hepar", "--memory", str(project / "project.csv"), "-o", str(prompts), "--json"]) == 0
    (candidate,) = json.loads(capsys.readouterr().out)["candidates"]
    assert candidate["name"] == "liver"
    assert candidate["source"] == "placed from s00 of project.csv"
    made = set(hashes(project)) - set(before)
    assert made == {"prompts.json", "prompts_object1.nii.gz"}
    assert {name: hashes(project)[name] for name in before} == before

    labels = project / "out.nii.gz"
    arguments = ["--prompts", str(prompts), "--session", "--model", "classical", "-o", str(labels)]
    assert main(["segment", scan, *arguments]) == 0
    assert np.asarray(nib.load(labels).dataobj).any()
    line = (project / "out.sam2session" / "events.jsonl").read_text().splitlines()[0]
    assert json.loads(line)["origin"].startswith("placed from s00 of project.csv; score 0.")
    (project / "project.csv").unlink()
    capsys.readouterr()
    assert main(["replay", str(project / "out.sam2session"), "-o", str(project / "again.nii.gz")]) == 0
    assert (np.asarray(nib.load(labels).dataobj) == np.asarray(nib.load(project / "again.nii.gz").dataobj)).all()


@pytest.mark.parametrize("answer", ["proposed", "model"])
def test_the_prompts_of_a_name_give_what_the_name_itself_gives(project, answer):
    scan, prompts = str(project / "s01.nii.gz"), str(project / "prompts.json")
    source = ["--memory", str(project / "project.csv"), "--answer", answer]
    assert main(["find", scan, "liver", *source, "-o", prompts]) == 0
    named, prompted = project / "named.nii.gz", project / "prompted.nii.gz"
    assert main(["segment", scan, "--text", "liver", *source, "--model", "classical", "-o", str(named)]) == 0
    assert main(["segment", scan, "--prompts", prompts, "--model", "classical", "-o", str(prompted)]) == 0
    assert (np.asarray(nib.load(named).dataobj) == np.asarray(nib.load(prompted).dataobj)).all()
    assert np.asarray(nib.load(named).dataobj).any()


@pytest.mark.parametrize("answer", ["proposed", "model"])
def test_a_name_is_segmented_in_one_command_and_replayed_without_the_memory(project, answer):
    out = project / "out.nii.gz"
    memory = ["--memory", str(project / "project.csv"), "--answer", answer]
    arguments = ["--text", "liver", *memory, "--model", "classical", "--session", "-o", str(out)]
    assert main(["segment", str(project / "s01.nii.gz"), *arguments]) == 0
    assert "liver" in (project / "out.tsv").read_text()
    labels, truth = np.asarray(nib.load(out).dataobj) == 1, subject(1)[1] == 1
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.7
    settings = json.loads((project / "out.json").read_text())
    assert answer in json.dumps(settings)
    assert "placed from s00 of project.csv; score 0." in json.dumps(settings)
    (project / "project.csv").unlink()
    assert main(["replay", str(project / "out.sam2session"), "-o", str(project / "again.nii.gz")]) == 0
    assert (labels == (np.asarray(nib.load(project / "again.nii.gz").dataobj) == 1)).all()


def test_only_slices_that_may_be_written_get_a_proposed_mask(project, capsys):
    out, memory = project / "out.nii.gz", ["--text", "liver", "--memory", str(project / "project.csv")]
    arguments = ["segment", str(project / "s01.nii.gz"), *memory, "--model", "classical", "-o", str(out)]
    assert main([*arguments, "--slices", "17:20"]) == 0
    assert set(np.argwhere(np.asarray(nib.load(out).dataobj))[:, 2]) == {17, 18, 19}
    assert main([*arguments, "--slices", "0:2", "--overwrite"]) == 2
    assert "none of the slices" in capsys.readouterr().err
    assert main([*arguments, "--answer", "best", "--overwrite"]) == 2
    assert "choose one of proposed, model" in capsys.readouterr().err


def test_what_is_not_there_is_an_empty_list_or_an_error_where_a_result_was_demanded(project, capsys):
    scan, memory = str(noise_scan(project)), ["--memory", str(project / "project.csv")]
    assert main(["find", scan, "liver", *memory, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["candidates"] == []
    assert "not found" in answer["not_found"]["liver"]
    assert main(["find", scan, "liver", *memory, "--require"]) == 2
    assert main(["find", scan, "liver", *memory, "-o", str(project / "none.json")]) == 2
    assert "Nothing was found, so that none.json was not written." in capsys.readouterr().err
    assert not (project / "none.json").exists()
    out = project / "out.nii.gz"
    assert main(["segment", scan, "--text", "liver", *memory, "--model", "classical", "-o", str(out)]) == 2
    assert "not found" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("spleen", "they hold left kidney, liver, right kidney"), ("tumour", "A lesion has no place")],
)
def test_unknown_names_and_lesions_are_refused_before_any_work(project, capsys, name, sentence):
    assert main(["find", str(project / "missing.nii.gz"), name, "--memory", str(project / "project.csv")]) == 2
    assert sentence in capsys.readouterr().err


def test_files_of_the_memory_are_never_written_over(project, capsys):
    memory, target = str(project / "project.csv"), str(project / "s00_labels.nii.gz")
    before = hashes(project)
    arguments = ["--text", "liver", "--memory", memory, "--model", "classical", "-o", target, "--overwrite"]
    assert main(["segment", str(project / "s01.nii.gz"), *arguments]) == 2
    assert main(["find", str(project / "s01.nii.gz"), "liver", "--memory", memory, "-o", memory, "--overwrite"]) == 2
    assert hashes(project) == before


def test_masks_beside_a_prompt_file_are_never_written_over_inputs(project, capsys):
    memory = ["--memory", str(project / "project.csv")]
    for number, name in enumerate(("s01.nii.gz", "s00_labels.nii.gz")):
        taken = project / f"prompts{number}_object1.nii.gz"
        taken.symlink_to(project / name)
        before = hashes(project)
        target = str(project / f"prompts{number}.json")
        for overwrite in ([], ["--overwrite"]):
            assert main(["find", str(project / "s01.nii.gz"), "liver", *memory, "-o", target, *overwrite]) == 2
        assert hashes(project) == before
    assert "is one of the inputs and is never replaced" in capsys.readouterr().err


def test_an_empty_project_is_one_sentence(project, capsys):
    (project / "empty").mkdir()
    assert main(["find", str(project / "s01.nii.gz"), "liver", "--memory", str(project / "empty")]) == 2
    assert "empty holds no finished scan yet" in capsys.readouterr().err


def test_text_and_memory_belong_together(project, capsys):
    out = str(project / "out.nii.gz")
    assert main(["segment", str(project / "s01.nii.gz"), "--text", "liver", "-o", out]) == 2
    assert "belong together" in capsys.readouterr().err


def test_a_cohort_with_one_finished_scan_has_the_others_proposed(project, capsys):
    write_project(project, finished=1, new=2)
    manifest, out = str(project / "project.csv"), project / "results"
    arguments = ["--text", "liver", "--model", "classical", "--shard", "1/1", "--json"]
    assert main(["cohort", "run", manifest, "-o", str(out), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2
    assert sorted(p.parent.name for p in out.glob("*/labels.nii.gz")) == ["s01", "s02"]
    assert any("nobody has" in note for note in json.loads((out / "s01" / "status.json").read_text())["notes"])
    assert main(["cohort", "run", manifest, "-o", str(out), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 2


PROGRAM = """
import sys
import nibabel, numpy
image = nibabel.load(sys.argv[1])
labels = (image.get_fdata() > 500).astype(numpy.uint8)
nibabel.save(nibabel.Nifti1Image(labels, image.affine), sys.argv[2])
"""


@pytest.fixture
def program(project):
    script = project / "brightest.py"
    script.write_text(PROGRAM)
    return f"{sys.executable} {script} {{image}} {{output}} {{names}}"


def test_a_name_is_segmented_by_another_program(project, program):
    out, scan = project / "out.nii.gz", project / "s01.nii.gz"
    arguments = ["--text", "kidneys", "--program", program, "--model", "classical", "-o", str(out)]
    assert main(["segment", str(scan), *arguments]) == 0
    bright = np.asarray(nib.load(scan).dataobj) > 500
    assert ((np.asarray(nib.load(out).dataobj) == 1) == bright).all()
    assert "proposed by python" in (project / "out.json").read_text()


def test_a_cohort_is_segmented_by_another_program(project, program, capsys):
    out = project / "results"
    arguments = ["--text", "kidneys", "--program", program, "--model", "classical", "--shard", "1/1", "--json"]
    assert main(["cohort", "run", str(project / "project.csv"), "-o", str(out), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2


def test_one_source_is_asked(project, program, capsys):
    both = ["--memory", str(project / "project.csv"), "--program", program]
    assert main(["find", str(project / "s01.nii.gz"), "liver", *both]) == 2
    assert main(["find", str(project / "s01.nii.gz"), "liver"]) == 2
    assert capsys.readouterr().err.count("Give one of --memory, --program and --detector") == 2
