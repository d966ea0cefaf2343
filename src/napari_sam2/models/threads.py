"""The number of threads that this process may really use."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Final

from napari_sam2.errors import EnvironmentLacksError

__all__ = ["check_torch", "threads_of_each", "usable_cpus", "use_all_cpus", "wait_asleep"]

CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/cpu.max")
"""Quota and period in microseconds of a container (Linux control groups, version 2), or "max"."""


def usable_cpus(limit: Path = CGROUP_LIMIT) -> int:
    """Processors that this process may use.

    By affinity, and by the quota of its container; at least 1.
    """
    # Where there is no affinity (macOS), every processor counts.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = limit.read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):
        return allowed


def threads_of_each(processes: int) -> int:
    """Threads for each of several processes that compute side by side.

    ``OMP_NUM_THREADS`` is an upper limit: whoever sets it wants the rest of the processors for something else.
    """
    share = max(1, usable_cpus() // processes)
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(share, max(1, int(asked))) if asked.isascii() and asked.isdigit() and len(asked) < 10 else share


def check_torch() -> None:
    """A sentence for who has no torch.

    Raises
    ------
    EnvironmentLacksError
        If it is not installed, as on a machine that lets a server answer.
    """
    if importlib.util.find_spec("torch") is None:
        raise EnvironmentLacksError(
            "No network runs on this machine (torch is not installed): let a server answer with --remote, or install "
            "napari-sam2 in full."
        )


def wait_asleep() -> None:
    """Let PyTorch's threads sleep while they wait.

    For a program that does something else beside, such as drawing a window or more cases: threads that wait awake
    (OpenMP's default) take the processor from it, and from the thread that they wait for. Answers are the same. It has
    to be called before torch is loaded; ``OMP_WAIT_POLICY`` says otherwise.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_all_cpus() -> int:
    """Let PyTorch compute with `usable_cpus` threads, unless ``OMP_NUM_THREADS`` says otherwise.

    For programs (the command line, the plugin's worker), never called on import.

    Returns
    -------
    int
        The number of threads in use.
    """
    check_torch()
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        # More than the physical processors gains nothing in matrix products.
        torch.set_num_threads(min(usable_cpus(), torch.get_num_threads()))
    return torch.get_num_threads()
