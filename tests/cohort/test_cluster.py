from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import distributed
import psutil
import pytest

from napari_sam2.cohort.cluster import SlurmChoice, local_cluster, running_scheduler, slurm_jobs
from napari_sam2.errors import EnvironmentLacksError, UserInputError


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
    cluster = slurm_jobs(choice, tmp_path / "slurm")
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
