"""Where the workers are.

On this machine, or at a running scheduler; in the queue of SLURM: `napari_sam2.cohort.slurm`.

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
from napari_sam2.models.threads import threads_of_each, usable_cpus, wait_asleep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "INSTALL",
    "NO_DASHBOARD",
    "PAGES",
    "THREADS_PER_WORKER",
    "Tls",
    "default_workers",
    "import_dask",
    "local_cluster",
    "own_keys",
    "running_scheduler",
    "without_chatter",
]

THREADS_PER_WORKER: Final = 4
"""What one propagation makes good use of on a processor; more processors are better given to more cases."""

NO_DASHBOARD: Final = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
PAGES: Final = {f"distributed.{node}.http.routes": ["distributed.http.health"] for node in ("scheduler", "worker")}
"""dask opens a web server whatever one says; it tells whether it lives, and nothing of the cases."""

INSTALL: Final = "pip install 'napari-sam2[cohort]'"


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


def default_workers() -> int:
    """One worker for every few processors that this process may use."""
    return max(1, usable_cpus() // THREADS_PER_WORKER)


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """Start workers on this machine.

    They end with the block, or with this process.

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
    dask, distributed = import_dask()
    threads = threads_of_each(workers)
    wait_asleep()
    with (
        without_chatter(),
        dask.config.set(PAGES),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            # Loopback is shared by everybody who is logged in; only this process and its workers have the keys.
            protocol="tls://",
            security=own_keys(distributed),
            dashboard_address=None,
            worker_dashboard_address=None,
            scheduler_kwargs=NO_DASHBOARD,
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
    _, distributed = import_dask()
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
    with without_chatter(), client:
        yield client


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Keep tracebacks of lost connections off the screen.

    What they mean for a case is said in a sentence.
    """
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
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
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


def own_keys(distributed: Any) -> Any:
    """Keys and certificates made for this run."""
    try:
        return distributed.Security.temporary()
    except ImportError as error:
        raise EnvironmentLacksError(
            f"Workers are encrypted by cryptography, which is missing; run {INSTALL}."
        ) from error


def import_dask() -> Sequence[Any]:
    """The modules ``dask`` and ``distributed``.

    Raises
    ------
    EnvironmentLacksError
        If they are not installed.
    """
    try:
        import dask
        import distributed
    except ImportError as error:
        raise EnvironmentLacksError(
            f"Several workers need dask.distributed; run {INSTALL}, or go without it: --shard 1/1."
        ) from error
    return dask, distributed
