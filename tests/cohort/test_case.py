from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from napari_sam2.cohort.case import run_case
from napari_sam2.cohort.job import LABELS, OVERVIEW, SCORES, SESSION
from napari_sam2.cohort.state import read_status
from tests.cohort.cases import job_of, write_case
from tests.phantoms import dice

CANARY = "JANE_ZYXW"


@pytest.fixture
def row(tmp_path):
    return write_case(tmp_path / "scans", "a")


def labels_of(path):
    return np.asarray(nib.load(path).dataobj)


def test_prompts_become_labels_sidecars_a_session_measurements_and_a_status(tmp_path, row):
    job = job_of(tmp_path, row)
    outcome = run_case(job)
    truth = labels_of(tmp_path / row["labels"]) == 1
    found = labels_of(job.folder / LABELS) == 1
    assert outcome["state"] == "done"
    assert dice(found, truth) > 0.85
    status = read_status(job.folder)
    (obj,) = status["objects"]
    assert obj["name"] == "ball"
    assert obj["voxels"] == found.sum()
    assert obj["volume_ml"] == pytest.approx(found.sum() * 2e-3, rel=1e-4)
    # Empty slices at its ends come last.
    assert obj["doubtful"] == sorted(obj["doubtful"], key=lambda s: (s["voxels"] == 0, -s["doubt"]))
    files = {"labels.json", "labels.tsv", LABELS, "measurements.csv", OVERVIEW, f"{SESSION}/events.jsonl"}
    assert set(status["outputs"]) == files


def test_a_session_is_replayed_to_the_same_labels(tmp_path, row):
    first = job_of(tmp_path, row)
    run_case(first)
    row = {**row, "case": "again", "session": str(first.folder / SESSION)}
    second = job_of(tmp_path, row, "replay")
    assert run_case(second)["state"] == "done"
    assert read_status(second.folder)["identical"] is True
    assert (second.folder / LABELS).read_bytes() == (first.folder / LABELS).read_bytes()


def test_known_labels_are_measured_evaluated_and_exported(tmp_path, row):
    voxels = int(labels_of(tmp_path / row["labels"]).sum())
    measured = job_of(tmp_path, {**row, "case": "m"}, "measure")
    evaluated = job_of(tmp_path, {**row, "case": "e"}, "evaluate")
    exported = job_of(tmp_path, {**row, "case": "x"}, "export", export=".seg.nrrd")
    assert [run_case(job)["state"] for job in (measured, evaluated, exported)] == ["done"] * 3
    assert read_status(measured.folder)["objects"][0]["voxels"] == voxels
    (scores,) = json.loads((evaluated.folder / SCORES).read_text())
    assert scores["model"]["box"] > 0.85
    assert read_status(evaluated.folder)["objects"][0]["dice"]["box"] == pytest.approx(scores["model"]["box"], abs=1e-4)
    assert (exported.folder / "labels.seg.nrrd").is_file()


def test_a_damaged_scan_is_a_sentence_that_does_not_name_the_file(tmp_path):
    row = write_case(tmp_path / CANARY, CANARY)
    path = tmp_path / row["image"]
    path.write_bytes(path.read_bytes()[:-40])
    job = job_of(tmp_path, {**row, "case": "a"})
    outcome = run_case(job)
    assert outcome["state"] == "failed"
    assert "The image is truncated" in outcome["error"]
    assert outcome["retry"] is False
    status = (job.folder / "status.json").read_text()
    assert "truncated" in status
    assert CANARY not in status


def test_no_file_of_a_finished_case_names_its_scan(tmp_path):
    row = write_case(tmp_path / CANARY, CANARY)
    job = job_of(tmp_path, {**row, "case": "a"})
    assert run_case(job)["state"] == "done"
    for path in job.folder.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path.name


def test_files_that_change_between_plan_and_work_are_refused(tmp_path, row):
    job = job_of(tmp_path, row)
    write_case(tmp_path / "scans", "a", seed=1)
    outcome = run_case(job)
    assert outcome["state"] == "failed"
    assert "changed since the run began" in outcome["error"]


def test_an_unforeseen_error_says_where_and_not_what(tmp_path, row, monkeypatch):
    import napari_sam2.cohort.tasks as tasks

    def broken(*_):
        raise KeyError(CANARY)

    monkeypatch.setattr(tasks, "draw_overview", broken)
    outcome = run_case(job_of(tmp_path, row))
    assert (outcome["state"], outcome["kind"], outcome["retry"]) == ("failed", "bug", True)
    assert "KeyError at cohort/tasks.py:" in outcome["error"]
    assert CANARY not in json.dumps(outcome)


def test_a_case_that_another_process_works_on_is_left_alone_until_that_process_is_gone(tmp_path, row):
    job = job_of(tmp_path, row)
    job.folder.mkdir(parents=True)
    held = f"from filelock import FileLock; lock = FileLock({str(job.folder / '.lock')!r}); lock.acquire()"
    wait = "print('held', flush=True); import time; time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", f"{held}; {wait}"], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert run_case(job)["state"] == "busy"
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert run_case(job)["state"] == "done"


def test_a_full_disk_ends_the_run_and_an_earlier_result_stays(tmp_path, row, monkeypatch):
    import errno

    from napari_sam2.cohort import tasks

    first = job_of(tmp_path, row)
    run_case(first)
    before = (first.folder / LABELS).read_bytes()
    write_case(tmp_path / "scans", "a", seed=1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tasks, "write_label_set", full)
    outcome = run_case(replace(job_of(tmp_path, row)))
    assert outcome["state"] == "failed"
    assert outcome["stop"] is True
    assert "No space left" in outcome["error"]
    assert (first.folder / LABELS).read_bytes() == before
