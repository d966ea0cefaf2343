"""Real processes, really killed. The task is to measure, which needs no network and so starts quickly."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import psutil
import pytest

from napari_sam2.cohort.cluster import local_cluster
from napari_sam2.cohort.schedule import run_here, run_on_cluster
from napari_sam2.cohort.state import read_status
from napari_sam2.errors import EnvironmentLacksError
from tests.cohort.cases import job_of, write_case

HOOK = """
import os, signal, sys, multiprocessing

def _end(event, arguments):
    if event == "open" and "poison" in str(arguments[0]) and multiprocessing.parent_process():
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(_end)
"""
"""Ends every worker that opens the poison case, as a crash in a decoder would."""


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Five cases: the second kills its worker, the fourth is damaged."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hook"), os.environ.get("PYTHONPATH", "")]))
    rows = [write_case(tmp_path / "scans", name) for name in ("a", "poison", "c", "damaged", "e")]
    damaged = tmp_path / rows[3]["image"]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    return [job_of(tmp_path, row, "measure") for row in rows]


def told(outcomes):
    return {outcome["case"]: outcome for outcome in outcomes}


def assert_only_the_two_bad_ones_failed(jobs, outcomes):
    assert {case: o["state"] for case, o in outcomes.items()} == {
        "a": "done", "poison": "failed", "c": "done", "damaged": "failed", "e": "done",
    }  # fmt: skip
    assert "2 of 2 times" in outcomes["poison"]["error"]
    assert "truncated" in outcomes["damaged"]["error"]
    assert {job.case: read_status(job.folder)["state"] for job in jobs} == {c: o["state"] for c, o in outcomes.items()}


def test_without_a_scheduler_only_the_case_that_kills_its_process_is_blamed(jobs):
    assert_only_the_two_bad_ones_failed(jobs, told(run_here(jobs)))


def test_a_case_that_hangs_is_ended_and_given_up_by_name(jobs, tmp_path):
    hang = HOOK.replace("os.kill(os.getpid(), signal.SIGKILL)", "__import__('time').sleep(600)")
    (tmp_path / "hook" / "sitecustomize.py").write_text(hang)
    hanging = replace(jobs[1], settings=replace(jobs[1].settings, limit=0.02))
    outcomes = told(run_here([hanging, jobs[0]], retries=0))
    assert outcomes["a"]["state"] == "done"
    assert "or more than 0.02 minutes" in outcomes["poison"]["error"]
    assert read_status(hanging.folder)["state"] == "failed"


def test_on_a_cluster_only_the_case_that_kills_its_worker_is_blamed(jobs, tmp_path):
    notes = []
    with local_cluster(2) as client:
        outcomes = told(run_on_cluster(client, jobs, say=notes.append))
        assert_only_the_two_bad_ones_failed(jobs, outcomes)
        assert notes == ["a worker died while it worked on case poison"] * 2

        # A worker killed from outside: its case is tried again and succeeds; nobody is blamed.
        more = [job_of(tmp_path, write_case(tmp_path / "scans", f"m{n}"), "measure") for n in range(6)]
        victims = [
            child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())
        ]
        run = run_on_cluster(client, more)
        first = next(run)
        os.kill(victims[0].pid, signal.SIGKILL)
        states = {first["case"]: first["state"]} | {o["case"]: o["state"] for o in run}
        assert states == {f"m{n}": "done" for n in range(6)}


def test_the_schedulers_end_is_a_sentence_and_what_is_done_is_kept(tmp_path):
    jobs = [job_of(tmp_path, write_case(tmp_path / "scans", f"c{n}"), "measure") for n in range(4)]
    with local_cluster(1) as client:
        run = run_on_cluster(client, jobs)
        assert next(run)["state"] == "done"
        client.cluster.close()
        with pytest.raises(EnvironmentLacksError, match="what is done is kept"):
            list(run)
    assert sum(read_status(job.folder).get("state") == "done" for job in jobs) >= 1


def test_without_any_worker_the_wait_has_an_end(tmp_path):
    job = job_of(tmp_path, write_case(tmp_path / "scans", "a"), "measure")
    with local_cluster(1) as client:
        client.cluster.scale(0)
        while client.scheduler_info(n_workers=-1)["workers"]:
            time.sleep(0.05)
        with pytest.raises(EnvironmentLacksError, match="no worker for"):
            list(run_on_cluster(client, [job], patience=0.2))


def test_where_jobs_wait_in_a_queue_the_run_waits_too_and_says_so(tmp_path):
    job = job_of(tmp_path, write_case(tmp_path / "scans", "a"), "measure")
    notes = []
    with local_cluster(1) as client:
        client.cluster.scale(0)
        while client.scheduler_info(n_workers=-1)["workers"]:
            time.sleep(0.05)

        def say(note):
            notes.append(note)
            client.cluster.scale(1)  # the queue has moved

        outcomes = run_on_cluster(client, [job], patience=0.2, queued="no job yet", say=say)
        assert [outcome["state"] for outcome in outcomes] == ["done"]
    assert notes[0] == "no job yet"
