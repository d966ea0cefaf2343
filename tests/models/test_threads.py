"""The number of threads follows what the process may use."""

import os

import pytest
import torch

from napari_sam2.models import threads
from napari_sam2.models.threads import usable_cpus, use_all_cpus


@pytest.fixture
def _eight_allowed(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.usefixtures("_eight_allowed")
@pytest.mark.parametrize(
    ("content", "count"), [("250000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 8), ("1600000 100000\n", 8)]
)
def test_a_containers_quota_counts(tmp_path, content, count):
    limit = tmp_path / "cpu.max"
    limit.write_text(content)
    assert usable_cpus(limit) == count


@pytest.mark.usefixtures("_eight_allowed")
def test_without_a_container_the_affinity_counts(tmp_path):
    assert usable_cpus(tmp_path / "missing") == 8


def test_the_environment_has_the_last_word(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(torch, "set_num_threads", lambda _: pytest.fail("was set"))
    assert use_all_cpus() == before


@pytest.mark.parametrize(
    ("asked", "each"), [(None, 4), ("1", 1), ("3,2", 3), ("64", 4), ("all", 4), ("0", 1), ("9" * 5000, 4)]
)
def test_processes_side_by_side_share_the_processors_and_keep_to_what_was_asked(monkeypatch, asked, each):
    monkeypatch.setattr(threads, "usable_cpus", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads.threads_of_each(2) == each
