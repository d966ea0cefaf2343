"""Where the workers are: on this machine, at a running scheduler, or in the queue of a cluster.

Who reaches a scheduler can run code on its workers. One that is started here listens on loopback, encrypted with keys
of its own and without a dashboard; one on another host must speak TLS.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.models.threads import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SlurmChoice", "Tls", "default_workers", "local_cluster", "running_scheduler", "slurm_cluster"]

THREADS_PER_WORKER: Final = 4
"""What one propagation makes good use of on a processor; more processors are better given to more cases."""

RENEWAL_SECONDS: Final = 60
"""How long a job of SLURM's that has ended may go without a successor."""

_INSTALL: Final = "pip install 'napari-sam2[cohort]'"


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for a scheduler on another host; PEM.

    Attributes
    ----------
    authority, certificate, key : Path
        Whom to trust, who we are, and its key.
    """

    authority: Path
    certificate: Path
    key: Path


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
        ``"HH:MM:SS"``; a worker retires between two cases before it ends.
    extra : tuple of str
        Further lines, such as ``"--gres=gpu:1"``.
    """

    cores: int = THREADS_PER_WORKER
    memory: str = "8GB"
    walltime: str = "04:00:00"
    extra: tuple[str, ...] = ()


def default_workers() -> int:
    """One worker for every few processors that this process may use."""
    return max(1, usable_cpus() // THREADS_PER_WORKER)


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """Start workers on this machine; they end with the block, or with this process.

    Parameters
    ----------
    workers : int
        Processes; the processors are divided among them.

    Yields
    ------
    distributed.Client

    Raises
    ------
    EnvironmentLacksError
        If distributed is not installed.
    """
    dask, distributed = _distributed()
    threads = max(1, usable_cpus() // workers)
    # dask opens a web server whatever one says; here it tells whether it lives, and nothing of the cases.
    pages = {f"distributed.{node}.http.routes": ["distributed.http.health"] for node in ("scheduler", "worker")}
    with (
        _without_chatter(),
        dask.config.set(pages),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            # Loopback is shared by everybody who is logged in; only this process and its workers have the keys.
            protocol="tls://",
            security=_own_keys(distributed),
            dashboard_address=None,
            worker_dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            # Workers that are paused or ended by a limit of dask's would look like crashes of their cases.
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def running_scheduler(where: str, tls: Tls | None = None) -> Iterator[Any]:
    """Connect to a scheduler that somebody started.

    Parameters
    ----------
    where : str
        ``tcp://127.0.0.1:8786``, ``tls://host:8786``, or the scheduler's JSON file.
    tls : Tls, optional
        Needed for another host.

    Yields
    ------
    distributed.Client

    Raises
    ------
    UserInputError
        If it is on another host and does not speak TLS, the keys are missing or cannot be used, or the file is not a
        scheduler's.
    EnvironmentLacksError
        If nobody answers there.
    """
    _, distributed = _distributed()
    address = _address(where)
    _check_address(address)
    if address.startswith("tls://") and tls is None:
        raise UserInputError(f"{address} is encrypted; give --tls-ca, --tls-cert and --tls-key.")
    security = _security(distributed, tls) if tls is not None else None
    try:
        client = distributed.Client(address, security=security, timeout="15s")
    except (OSError, TimeoutError) as error:
        remedy = (
            "see that it runs and that its certificate is of the authority of --tls-ca"
            if tls is not None
            else "start one with 'dask scheduler --host 127.0.0.1'"
        )
        raise EnvironmentLacksError(f"No scheduler answers at {address}; {remedy}.") from error
    with _without_chatter(), client:
        yield client


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
    _, distributed = _distributed()
    cluster = slurm_jobs(choice, folder)
    try:
        with _without_chatter(), cluster, distributed.Client(cluster) as client, _renewed(cluster, workers):
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


def slurm_jobs(choice: SlurmChoice, folder: Path) -> Any:
    """The cluster whose jobs `slurm_cluster` submits; its ``job_script()`` can be read before."""
    _, distributed = _distributed()
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise EnvironmentLacksError(f"--slurm needs dask-jobqueue; run {_INSTALL}.") from error
    folder.mkdir(parents=True, exist_ok=True)
    return SLURMCluster(
        cores=choice.cores,
        processes=1,
        memory=choice.memory,
        walltime=choice.walltime,
        job_extra_directives=list(choice.extra),
        # SLURM holds the memory; dask would pause a worker at 80 % of it, and its case would never go on.
        worker_extra_args=["--memory-limit", "0", *_lifetime(choice.walltime)],
        log_directory=str(folder),
        protocol="tls://",
        security=_own_keys(distributed),
        shared_temp_directory=str(folder),
        scheduler_options={"dashboard_address": None},
    )


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep tracebacks of lost connections off the screen: what they mean for a case is said in a sentence."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = {logging.getLogger(name) for name in ("asyncio", *names)}
    levels = {logger: logger.level for logger in loggers}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _lifetime(walltime: str) -> list[str]:
    """Retire before the job ends, not all at once: a case needs time to finish (dask-jobqueue#122)."""
    parts = [int(part) for part in walltime.split(":")]
    seconds = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    return ["--lifetime", f"{seconds * 15 // 16}s", "--lifetime-stagger", f"{max(1, seconds // 60)}s"]


def _security(distributed: Any, tls: Tls) -> Any:
    """Keys for dask, after a look at the files: dask itself would only find that nobody answers."""
    try:
        # Without Python's own list of authorities: only the given one is trusted.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(tls.authority)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UserInputError(
            "The files of --tls-ca, --tls-cert and --tls-key cannot be used "
            f"({getattr(error, 'reason', '') or getattr(error, 'strerror', '') or 'not PEM'}); give three PEM files, "
            "of which the key is that of the certificate."
        ) from error
    return distributed.Security(
        tls_ca_file=str(tls.authority),
        tls_client_cert=str(tls.certificate),
        tls_client_key=str(tls.key),
        require_encryption=True,
    )


def _address(where: str) -> str:
    if "://" in where:
        return where
    try:
        return str(json.loads(Path(where).read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserInputError(
            f"{Path(where).name} is not a scheduler's file; give the JSON of 'dask scheduler --scheduler-file', or "
            "an address such as tcp://127.0.0.1:8786."
        ) from error


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "tls":
        return
    host = parts.hostname or ""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if parts.scheme != "tcp" or not loopback:
        raise UserInputError(
            f"{address} is not on this machine and not encrypted: whoever reaches a scheduler can run code. Use "
            "tls:// with --tls-ca, --tls-cert and --tls-key, or an SSH tunnel to 127.0.0.1."
        )


def _own_keys(distributed: Any) -> Any:
    """Keys and certificates made for this run."""
    try:
        return distributed.Security.temporary()
    except ImportError as error:
        raise EnvironmentLacksError(
            f"Workers are encrypted by cryptography, which is missing; run {_INSTALL}."
        ) from error


def _distributed() -> Sequence[Any]:
    try:
        import dask
        import distributed
    except ImportError as error:
        raise EnvironmentLacksError(
            f"Several workers need dask.distributed; run {_INSTALL}, or go without it: --shard 1/1."
        ) from error
    return dask, distributed
