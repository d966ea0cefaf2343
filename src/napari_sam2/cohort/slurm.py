"""Workers from the queue of a cluster, through dask-jobqueue."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.cluster import (
    INSTALL,
    NO_DASHBOARD,
    PAGES,
    THREADS_PER_WORKER,
    import_dask,
    own_keys,
    without_chatter,
)
from napari_sam2.errors import EnvironmentLacksError
from napari_sam2.io.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SlurmChoice", "slurm_cluster", "slurm_jobs"]

RENEWAL_SECONDS: Final = 60
"""How long a job of SLURM's that has ended may go without a successor."""


@dataclass(frozen=True, slots=True)
class SlurmChoice:
    """What SLURM is asked for, per worker.

    Attributes
    ----------
    cores : int
        Processors.
    memory : str
        Such as ``"8GB"``.
    walltime : str
        ``"HH:MM:SS"``; a worker retires shortly before, and another job takes its place.
    extra : tuple of str
        Further lines, such as ``"--gres=gpu:1"``.
    """

    cores: int = THREADS_PER_WORKER
    memory: str = "8GB"
    walltime: str = "04:00:00"
    extra: tuple[str, ...] = ()


@contextlib.contextmanager
def slurm_cluster(workers: int, choice: SlurmChoice, folder: Path) -> Iterator[Any]:
    """Ask SLURM for workers; they are given back when the block ends.

    Parameters
    ----------
    workers : int
        Jobs.
    choice : SlurmChoice
        What each of them gets.
    folder : Path
        On a disk that all nodes share: keys and logs of the jobs.

    Yields
    ------
    distributed.Client

    Raises
    ------
    EnvironmentLacksError
        If dask-jobqueue, cryptography or SLURM itself is missing.
    """
    dask, distributed = import_dask()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="keys-", dir=folder, ignore_cleanup_errors=True) as keys,
            without_chatter(),
            dask.config.set(PAGES),
            slurm_jobs(choice, folder, Path(keys)) as cluster,
            distributed.Client(cluster) as client,
            _renewed(cluster, workers),
        ):
            yield client
    except FileNotFoundError as error:
        raise EnvironmentLacksError("There is no sbatch on this machine; run this on a node that submits.") from error


@contextlib.contextmanager
def _renewed(cluster: Any, workers: int) -> Iterator[None]:
    """Ask for jobs, and again for one in the place of each whose time has ended."""
    from tornado.ioloop import PeriodicCallback

    # `adapt` with as many at least as at most does nothing when a job ends: it counts what was asked for.
    renewal = PeriodicCallback(lambda: cluster.scale(jobs=workers), RENEWAL_SECONDS * 1000)
    cluster.scale(jobs=workers)
    cluster.loop.add_callback(renewal.start)
    try:
        yield
    finally:
        cluster.loop.add_callback(renewal.stop)


def slurm_jobs(choice: SlurmChoice, folder: Path, keys: Path) -> Any:
    """The cluster whose jobs `slurm_cluster` submits; its ``job_script()`` can be read before.

    Parameters
    ----------
    choice : SlurmChoice
        What each job gets.
    folder, keys : Path
        For the logs of the jobs, and for their keys, which nobody else may enter; both exist.
    """
    _, distributed = import_dask()
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise EnvironmentLacksError(f"--slurm needs dask-jobqueue; run {INSTALL}.") from error
    routes = json.dumps(PAGES["distributed.worker.http.routes"])
    return SLURMCluster(
        cores=choice.cores,
        processes=1,
        memory=choice.memory,
        walltime=choice.walltime,
        job_extra_directives=list(choice.extra),
        # SLURM holds the memory; dask would pause a worker at 80 % of it, and its case would never go on.
        worker_extra_args=[
            *("--memory-limit", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
            *_lifetime(choice.walltime),
        ],
        job_script_prologue=[f"export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='{routes}'"],
        log_directory=str(folder),
        protocol="tls://",
        security=_written(own_keys(distributed), keys, distributed),
        scheduler_options=NO_DASHBOARD,
    )


def _lifetime(walltime: str) -> list[str]:
    """Retire before the job ends, and not all at once (dask-jobqueue#122); a case that is cut is tried again."""
    parts = [int(part) for part in walltime.split(":")]
    seconds = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    return ["--lifetime", f"{seconds * 15 // 16}s", "--lifetime-stagger", f"{max(1, seconds // 60)}s"]


def _written(made: Any, folder: Path, distributed: Any) -> Any:
    """Keys as files, for jobs to find; whoever may not enter the folder cannot read them."""
    texts = {"ca.pem": made.tls_ca_file, "cert.pem": made.tls_worker_cert, "key.pem": made.tls_worker_key}
    authority, certificate, key = (str(write_text(folder / name, text)) for name, text in texts.items())
    roles = ("scheduler", "worker", "client")
    return distributed.Security(
        require_encryption=True,
        tls_ca_file=authority,
        **{f"tls_{role}_cert": certificate for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )
