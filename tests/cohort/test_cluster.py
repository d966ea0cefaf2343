from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import distributed
import psutil
import pytest

from napari_sam2.cohort.cluster import Tls, local_cluster, running_scheduler
from napari_sam2.cohort.schedule import run_on_cluster
from napari_sam2.cohort.slurm import SlurmChoice, slurm_cluster, slurm_jobs
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from tests.cohort.cases import job_of, write_case


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.7:8786", "tcp://node.example:8786", "ucx://127.0.0.1:8786", "tcp://"]
)
def test_a_scheduler_elsewhere_must_be_encrypted(address):
    with pytest.raises(UserInputError, match="not encrypted"), running_scheduler(address):
        pass


def test_the_address_in_a_schedulers_file_is_held_to_the_same_rule(tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://192.168.1.4:8786"}))
    with pytest.raises(UserInputError, match="not encrypted"), running_scheduler(str(file)):
        pass
    file.write_text("{}")
    with pytest.raises(UserInputError, match="not a scheduler's file"), running_scheduler(str(file)):
        pass


def test_what_is_started_here_listens_on_loopback_only_and_shows_nothing_of_the_cases():
    with local_cluster(1) as client:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [c.laddr for p in processes for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} == {"127.0.0.1"}
        with pytest.raises((OSError, TimeoutError)):
            distributed.Client(client.scheduler.address.replace("tls", "tcp"), timeout="1s")
        pages = f"http://127.0.0.1:{client.cluster.scheduler.http_server.port}"
        with urllib.request.urlopen(f"{pages}/health", timeout=5) as answer:
            assert answer.read() == b"ok"
        for page in ("status", "info/main/workers.html", "json/counts.json", "metrics"):
            with pytest.raises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(f"{pages}/{page}", timeout=5)
            raised.value.close()
            assert raised.value.code == 404


def test_slurm_jobs_are_encrypted_and_retire_between_cases_before_their_time_ends(tmp_path):
    choice = SlurmChoice(2, "6GB", "02:00:00", ("--gres=gpu:1",))
    cluster = slurm_jobs(choice, tmp_path, tmp_path)
    try:
        script = cluster.job_script()
    finally:
        cluster.close()
    assert "#SBATCH --gres=gpu:1" in script
    assert "#SBATCH -t 02:00:00" in script
    assert "#SBATCH --mem=6G" in script
    assert "tls://" in script
    assert "--tls-key" in script
    assert "--lifetime 6750s" in script
    # The last one counts: a worker that dask pauses for its memory would never finish its case.
    assert script.rindex("--memory-limit 0") > script.index("--memory-limit 5")


SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
setsid sh {folder}/job.sh > {folder}/job.log 2>&1 &
echo $! > {folder}/pid
echo Submitted batch job 1
"""
SCANCEL = "#!/bin/sh\nkill -- -$(cat {folder}/pid)\n"


def test_the_script_that_slurm_would_run_brings_a_worker_that_does_a_case(tmp_path, monkeypatch):
    # In the place of SLURM: sbatch starts the script on this machine, scancel ends it.
    (tmp_path / "bin").mkdir()
    for name, script in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(script.format(folder=tmp_path))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]))
    job = job_of(tmp_path, write_case(tmp_path / "scans", "a"), "measure")
    with slurm_cluster(1, SlurmChoice(1, "1GB", "00:30:00"), tmp_path / "slurm") as client:
        assert [outcome["state"] for outcome in run_on_cluster(client, [job])] == ["done"]
        (keys,) = (tmp_path / "slurm").iterdir()
        assert {file.name for file in keys.iterdir()} == {"ca.pem", "cert.pem", "key.pem"}
        assert keys.stat().st_mode & 0o077 == 0
        worker = psutil.Process(int((tmp_path / "pid").read_text()))
        # What is open without a key is on loopback, and says that it lives.
        page = client.cluster.scheduler.http_server.port
        assert {c.laddr.ip for c in psutil.Process().net_connections() if c.laddr.port == page} == {"127.0.0.1"}
    assert psutil.wait_procs([worker], timeout=20)[1] == []
    assert list((tmp_path / "slurm").iterdir()) == []


def test_nobody_at_the_address_is_a_sentence(monkeypatch):
    real = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda *a, **k: real(*a, **{**k, "timeout": "0.3s"}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(EnvironmentLacksError, match="No scheduler answers"),
        running_scheduler(f"tcp://127.0.0.1:{port}"),
    ):
        pass


def keys_in(folder):
    """A self-made authority, its certificate and key, as PEM files."""
    folder.mkdir()
    made = distributed.Security.temporary()
    files = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, text in files.items():
        (folder / f"{name}.pem").write_text(text)
    return Tls(*(folder / f"{name}.pem" for name in files))


def test_a_case_is_done_over_tls_and_nobody_without_the_keys_is_let_in(tmp_path, monkeypatch):
    ours, theirs = keys_in(tmp_path / "ours"), keys_in(tmp_path / "theirs")
    file = tmp_path / "scheduler.json"
    tls = ["--tls-ca-file", ours.authority, "--tls-cert", ours.certificate, "--tls-key", ours.key]
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--protocol", "tls", "--host", "127.0.0.1"]
    dask += ["--port", "0", "--no-dashboard", "--scheduler-file", file, *tls]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", "1"]
    worker += ["--no-nanny", "--no-dashboard", *tls]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as helpers:
        for command in (dask, worker):
            helper = helpers.enter_context(subprocess.Popen([str(word) for word in command], **quiet))
            helpers.callback(helper.terminate)
        while not file.exists():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        assert address.startswith("tls://")
        job = job_of(tmp_path, write_case(tmp_path / "scans", "a"), "measure")
        with running_scheduler(str(file), ours) as client:
            assert [outcome["state"] for outcome in run_on_cluster(client, [job])] == ["done"]
        real = distributed.Client
        monkeypatch.setattr(distributed, "Client", lambda *a, **k: real(*a, **{**k, "timeout": "1s"}))
        with pytest.raises(EnvironmentLacksError, match="authority"), running_scheduler(address, theirs):
            pass
        with pytest.raises(UserInputError, match="--tls-ca"), running_scheduler(address):
            pass
        with pytest.raises((OSError, TimeoutError)):
            distributed.Client(address.replace("tls", "tcp"))
    wrong = Tls(ours.authority, ours.certificate, theirs.key)
    missing = Tls(ours.authority, ours.certificate, tmp_path / "none.pem")
    text = Tls(file, ours.certificate, ours.key)
    for keys in (wrong, missing, text):
        with pytest.raises(UserInputError, match="cannot be used"), running_scheduler(address, keys):
            pass
