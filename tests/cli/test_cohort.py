"""The cohort commands as a user runs them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from napari_sam2.cli import main
from napari_sam2.cohort import schedule
from napari_sam2.cohort.plan import in_shard
from napari_sam2.cohort.run import parse_shard
from napari_sam2.errors import UserInputError
from tests.cli.test_cli import assert_refused, run
from tests.cohort.cases import write_case, write_manifest


@pytest.fixture
def manifest(tmp_path):
    rows = [write_case(tmp_path / "scans", f"c{n}") for n in range(4)]
    return write_manifest(tmp_path / "manifest.csv", rows, "labels")


def outputs(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.glob("*/*")
        if path.suffix in (".csv", ".jpg")
    }


def test_two_shards_do_what_one_run_does_byte_for_byte_and_a_second_start_skips_it(manifest, tmp_path):
    one, parts = tmp_path / "one", tmp_path / "parts"
    first = run("cohort", "run", manifest, "-o", one, "--shard", "1/1", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == {"done": 4, "skipped": 0, "edited": [], "busy": [], "failed": {}}
    done = [
        json.loads(run("cohort", "run", manifest, "-o", parts, "--shard", f"{i}/2", "--json").stdout) for i in (1, 2)
    ]
    assert sum(part["done"] for part in done) == 4
    assert len(outputs(one)) == 8
    assert outputs(one) == outputs(parts)
    again = json.loads(run("cohort", "run", manifest, "-o", parts, "--shard", "1/1", "--json").stdout)
    assert (again["done"], again["skipped"]) == (0, 4)


def test_a_failed_case_gives_code_one_and_its_sentence_also_in_status(manifest, tmp_path):
    damaged = tmp_path / "scans" / "c2.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    result = run("cohort", "run", manifest, "-o", tmp_path / "out", "--workers", "1")
    assert result.returncode == 1
    assert "FAILED c2: The image is truncated" in result.stderr
    assert "3 done, 0 skipped, 1 failed" in result.stdout
    assert "Traceback" not in result.stderr
    status = run("cohort", "status", tmp_path / "out", "--json")
    assert status.returncode == 1
    facts = json.loads(status.stdout)
    assert (facts["done"], facts["failed"], facts["todo"]) == (3, 1, 0)
    assert "truncated" in facts["failures"]["c2"]


def test_a_wrong_manifest_is_told_before_anything_runs(manifest, tmp_path):
    manifest.write_text(manifest.read_text() + "c0,scans/none.nii.gz,scans/c0_labels.nii.gz\n")
    result = run("cohort", "run", manifest, "-o", tmp_path / "out", "--workers", "1")
    assert_refused(result, 2, "line 6", "on line 2 already", "none.nii.gz does not exist")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--task", "dance"], "--task dance"),
        (["--task", "segment"], "no column 'prompts'"),
        (["--shard", "3/2"], "--shard 3/2"),
        (["--task", "export"], "--to"),
        (["--task", "export", "--to", "/../../evil.nii.gz"], "choose one of"),
        (["--shard", "²/3"], "--shard ²/3"),
        (["--scheduler", "tcp://10.1.2.3:8786"], "not encrypted"),
        (["--scheduler", "tcp://127.0.0.1:1", "--slurm"], "not both"),
        (["--prompts", "x"], "BIDS"),
    ],
)
def test_wrong_choices_are_one_sentence(manifest, tmp_path, capsys, options, word):
    assert main(["cohort", "run", str(manifest), "-o", str(tmp_path / "out"), *options]) == 2
    assert word in capsys.readouterr().err


def test_results_are_not_written_where_the_inputs_lie(tmp_path, capsys):
    row = write_case(tmp_path / "c0", "c0")
    manifest = write_manifest(tmp_path / "manifest.csv", [row], "labels")
    before = (tmp_path / "c0" / "c0.nii.gz").read_bytes()
    assert main(["cohort", "run", str(manifest), "-o", str(tmp_path), "--shard", "1/1"]) == 2
    assert "lie in its output folder" in capsys.readouterr().err
    assert (tmp_path / "c0" / "c0.nii.gz").read_bytes() == before


def test_a_shard_holds_the_same_cases_when_the_manifest_grows():
    names = [f"case-{n}" for n in range(200)]
    parts = [{name for name in names if in_shard(name, (i, 3))} for i in (1, 2, 3)]
    assert sum(len(part) for part in parts) == 200
    assert set.union(*parts) == set(names)
    assert min(len(part) for part in parts) > 40
    with pytest.raises(UserInputError):
        parse_shard("0/3")


@pytest.mark.parametrize(
    ("where", "signal_sent"),
    [(["--workers", "1"], signal.SIGKILL), (["--shard", "1/1"], signal.SIGKILL), (["--shard", "1/1"], signal.SIGTERM)],
)
def test_a_killed_run_is_finished_by_the_same_command_with_the_same_bytes(manifest, tmp_path, where, signal_sent):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run("cohort", "run", manifest, "-o", whole, "--shard", "1/1").returncode == 0
    command = [sys.executable, "-c", "from napari_sam2.cli import main; main()", "cohort", "run", str(manifest)]
    process = subprocess.Popen([*command, "-o", str(killed), *where], stderr=subprocess.DEVNULL)
    try:
        while not list(killed.glob("*/status.json")):
            assert process.poll() is None
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal_sent)
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []  # the workers end with the process that started them
    before = {path.parent.name for path in killed.glob("*/status.json")}
    result = json.loads(run("cohort", "run", manifest, "-o", killed, "--shard", "1/1", "--json").stdout)
    assert (result["skipped"], result["done"]) == (len(before), 4 - len(before))
    assert outputs(killed) == outputs(whole)


def test_files_of_the_cohort_and_of_other_programs_are_not_written_over(tmp_path, capsys):
    rows = [write_case(tmp_path / "scans", f"c{n}") for n in range(3)]
    out = tmp_path / "out"
    (out / "c0").mkdir(parents=True)
    (out / "c0" / "labels.nii.gz").write_text("of another program")
    (out / "c1").write_text("a file")
    manifest = write_manifest(out / "cohort.csv", rows, "labels")
    content = manifest.read_bytes()
    assert main(["cohort", "run", str(manifest), "-o", str(out), "--shard", "1/1"]) == 2
    manifest = write_manifest(tmp_path / "manifest.csv", [*rows, {**rows[0], "case": "cohort.json"}], "labels")
    capsys.readouterr()
    assert main(["cohort", "run", str(manifest), "-o", str(out), "--shard", "1/1"]) == 2
    told = capsys.readouterr().err
    for sentence in (
        "Line 2: the output folder of case 'c0' holds",
        "Line 3: a file is in the place",
        "Line 5: a file of",
    ):
        assert sentence in told
    assert (out / "c0" / "labels.nii.gz").read_text() == "of another program"
    assert (out / "cohort.csv").read_bytes() == content
    assert not (out / "cohort.json").exists()


def test_an_output_folder_that_is_emptied_meanwhile_is_told(manifest, tmp_path, monkeypatch, capsys):
    out, work = tmp_path / "out", schedule.run_here

    def emptied(jobs, **options):
        yield from work(jobs, **options)
        shutil.rmtree(out)

    monkeypatch.setattr(schedule, "run_here", emptied)
    assert main(["cohort", "run", str(manifest), "-o", str(out), "--shard", "1/1"]) == 3
    told = capsys.readouterr().err
    assert "was emptied" in told
    assert "done c0 (1 of 4)" in told  # a log without a terminal shows how far it is
