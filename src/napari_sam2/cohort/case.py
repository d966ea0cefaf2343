"""One case from its files to its folder.

On whatever machine it was given to.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import logging
import os
import shutil
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from napari_sam2.cohort.job import LOCK, NEEDS_MODEL, SESSION
from napari_sam2.cohort.nameless import nameless
from napari_sam2.cohort.state import (
    DAMAGED,
    DONE,
    EDITED,
    FAILED,
    TODO,
    UNTRUSTED,
    hash_inputs,
    hash_output,
    standing,
    wanted_inputs,
    write_status,
)
from napari_sam2.cohort.tasks import do_task
from napari_sam2.errors import EnvironmentLacksError, ModelError, ServerAwayError, UserInputError
from napari_sam2.io.atomic import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam2.cohort.job import CaseJob
    from napari_sam2.engine.verbs import AnyModel
    from napari_sam2.models.base import SegmentationModel
    from napari_sam2.remote.model import RemoteModel

__all__ = ["BUSY", "Outcome", "give_up", "run_case"]

logger = logging.getLogger(__name__)

BUSY: Final = "busy"
"""Another process works on the case now."""

Outcome = dict[str, Any]
"""What became of a case: ``case``, ``state``, ``error``, ``retry`` (whether another try may help), ``stop`` (whether
the next case would fail in the same way), ``seconds``."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def run_case(job: CaseJob, threads: int = 0) -> Outcome:
    """Do what is to be done with a case.

    What became of it is written; never raises.

    Parameters
    ----------
    job : CaseJob
        What to do.
    threads : int
        Threads to compute with; 0 leaves it to the process.

    Returns
    -------
    Outcome
        Short; everything else is in the case's folder.
    """
    with _ended_after(job.settings.limit * 60):
        return _run(job, threads)


def give_up(job: CaseJob, sentence: str, tries: int) -> Outcome:
    """Note that a case took its worker with it.

    In the worker's place.
    """
    outcome = {"case": job.case, "state": FAILED, "error": sentence, "kind": "worker lost", "tries": tries}
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(job.folder / LOCK, timeout=5):
            _write_failure(job, outcome)
    except (OSError, Timeout, EnvironmentLacksError, UserInputError):
        logger.warning("The status of case %s could not be written.", job.case)
    return outcome


def _run(job: CaseJob, threads: int) -> Outcome:
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(job.folder / LOCK, blocking=False):
            state = standing(job)
            if state == DONE or (state == EDITED and not job.redo):
                return {"case": job.case, "state": state}
            if state == DAMAGED and not job.redo:
                return {"case": job.case, "state": FAILED, "error": UNTRUSTED}
            if state == TODO:
                _clear_remains(job)
            return _run_locked(job, threads)
    except Timeout:
        return {"case": job.case, "state": BUSY}
    except OSError as error:
        return _failure(job, error)


def _run_locked(job: CaseJob, threads: int) -> Outcome:
    started = time.perf_counter()
    try:
        if hash_inputs(job.image, job.prompts, job.session, job.labels, job.channels) != _files_of(job):
            raise UserInputError("Its files have changed since the run began; start the same command again.")
        model = _ready_model(job, threads) if job.settings.task in NEEDS_MODEL else None
        facts = do_task(job, model)
        outputs = {name: hash_output(job.folder / name) for name in facts.pop("outputs")}
        seconds = time.perf_counter() - started
        write_status(job.folder, _head(job, DONE, seconds) | {"outputs": outputs} | facts)
    except Exception as error:  # whatever a case does, the others go on
        outcome = _failure(job, error) | {"seconds": round(time.perf_counter() - started, 3)}
        try:
            _write_failure(job, outcome)
        except (OSError, EnvironmentLacksError, UserInputError):
            logger.warning("The status of case %s could not be written.", job.case)
        return outcome
    return {"case": job.case, "state": DONE, "seconds": round(seconds, 3), "files": sorted(outputs)}


@contextlib.contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer; its scheduler then tries the case again, or gives it up by name.

    By a thread of the interpreter's own, which runs even where foreign code never gives the interpreter back.
    """
    if not seconds:
        yield
        return
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _clear_remains(job: CaseJob) -> None:
    """Remove what a killed try left, and the session of inputs that have changed; a person's is never in there."""
    from napari_sam2.record.ownership import is_owned

    if is_owned(job.folder / SESSION):
        raise Timeout(str(job.folder / SESSION))
    shutil.rmtree(job.folder / SESSION, ignore_errors=True)
    # Not after an hour, as elsewhere: whoever holds the lock knows that nobody else writes here.
    for unfinished in job.folder.glob(f"{PREFIX}*.part*"):
        unfinished.unlink(missing_ok=True)


def _write_failure(job: CaseJob, outcome: Outcome) -> None:
    facts = {key: outcome[key] for key in ("error", "kind", "where", "tries") if key in outcome}
    write_status(job.folder, _head(job, FAILED, outcome.get("seconds", 0.0)) | facts)


def _head(job: CaseJob, state: str, seconds: float) -> dict[str, Any]:
    return {
        "case": job.case,
        "group": job.group,
        "state": state,
        "inputs": wanted_inputs(job),
        "finished": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round(seconds, 3),
        "process": os.getpid(),
    }


def _failure(job: CaseJob, error: Exception) -> Outcome:
    outcome: Outcome = {"case": job.case, "state": FAILED}
    if isinstance(error, UserInputError):
        return outcome | {"error": nameless(job, str(error)), "kind": "input", "retry": False}
    if isinstance(error, EnvironmentLacksError | ModelError | OSError):
        full = _is_full(error) or _is_full(error.__cause__)
        stop = full or isinstance(error, ServerAwayError)
        sentence = str(error)
        if isinstance(error, OSError):  # the system's own message holds whole paths
            what = error.strerror or type(error).__name__
            sentence = f"{what}; look at the case's files, their folders and the disk."
        return outcome | {"error": nameless(job, sentence), "kind": "machine", "retry": not stop, "stop": stop}
    if isinstance(error, MemoryError):
        return outcome | {"error": "There is not enough memory for it.", "kind": "machine", "retry": True}
    # A message of foreign code may hold anything; where it happened cannot.
    package = str(Path(__file__).parent.parent)
    where = [
        f"{Path(frame.filename).relative_to(package)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(package)
    ]
    sentence = f"{type(error).__name__} at {where[-1] if where else 'an unknown place'}; please report this bug."
    return outcome | {"error": sentence, "kind": "bug", "where": where, "retry": True}


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL


def _files_of(job: CaseJob) -> dict[str, str]:
    return {name: value for name, value in job.inputs.items() if name not in ("model", "source")}


def _ready_model(job: CaseJob, threads: int) -> AnyModel:
    from napari_sam2.models.fingerprint import fingerprint

    settings = job.settings
    model: AnyModel
    if settings.remote is None:
        model = _loaded(settings.model, settings.device, settings.quality, threads)
        sha256 = fingerprint(settings.model)
    else:
        model = _elsewhere(settings.remote, settings.token_file, settings.model)
        sha256 = model.card.sha256 or model.card.name
    if sha256 != job.inputs.get("model"):
        raise UserInputError("The model is not the one that the run began with; start the same command again.")
    return model


@lru_cache(maxsize=1)
def _elsewhere(remote: str, token_file: Path | None, name: str) -> RemoteModel:
    """The model on a server: one lease for all cases of this process."""
    from napari_sam2.remote.model import connect

    return connect(remote, token_file, name, say=logger.info)


@lru_cache(maxsize=1)
def _loaded(name: str, device: str, quality: str, threads: int) -> SegmentationModel:
    """The model of this process: loaded once, for all of its cases."""
    import torch

    from napari_sam2.models import load_model

    if threads:
        torch.set_num_threads(threads)
    return load_model(name, device, quality=quality)
