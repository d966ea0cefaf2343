"""A whole run of a cohort.

Plan it, find workers, and settle one case after the other.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.cluster import default_workers, local_cluster, running_scheduler
from napari_sam2.cohort.plan import COHORT, make_plan
from napari_sam2.cohort.state import DAMAGED, FAILED, UNTRUSTED
from napari_sam2.errors import EnvironmentLacksError, UserInputError
from napari_sam2.hashing import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Sequence
    from pathlib import Path

    from napari_sam2.cohort.case import Outcome
    from napari_sam2.cohort.cluster import Tls
    from napari_sam2.cohort.job import CohortSettings
    from napari_sam2.cohort.plan import Plan
    from napari_sam2.cohort.slurm import SlurmChoice
    from napari_sam2.io.manifest import ManifestRow

__all__ = ["CohortRun", "Workers", "parse_shard", "run_cohort"]

SLURM_FOLDER: Final = ".slurm"


@dataclass(frozen=True, slots=True)
class Workers:
    """Where cases are worked on; nothing chosen means this machine.

    Attributes
    ----------
    count : int
        Worker processes (or SLURM jobs); 0 chooses by the number of processors.
    scheduler : str
        Address or file of a running scheduler.
    tls : Tls, optional
        For a scheduler on another host.
    slurm : SlurmChoice, optional
        Ask SLURM for workers.
    alone : bool
        One process after the other on this machine, without a scheduler.
    """

    count: int = 0
    scheduler: str = ""
    tls: Tls | None = None
    slurm: SlurmChoice | None = None
    alone: bool = False


@dataclass(slots=True)
class CohortRun:
    """What became of a run.

    Attributes
    ----------
    planned : int
        Cases that had to be done.
    skipped : int
        Cases that were done and unchanged.
    edited : tuple of str
        Cases that were kept, since a person has changed their results.
    outcomes : list of Outcome
        Of each case that was settled.
    """

    planned: int
    skipped: int
    edited: tuple[str, ...]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> dict[str, str]:
        """Sentence by case, of those that failed."""
        return {o["case"]: o["error"] for o in self.outcomes if o["state"] == "failed"}

    @property
    def counts(self) -> dict[str, int]:
        """How many cases came to which state."""
        return dict(Counter(o["state"] for o in self.outcomes))


def run_cohort(
    source: Path,
    rows: Sequence[ManifestRow],
    output: Path,
    settings: CohortSettings,
    *,
    workers: Workers = Workers(),
    shard: tuple[int, int] = (1, 1),
    only: Collection[str] | None = None,
    retries: int = 1,
    overwrite: bool = False,
    on_planned: Callable[[Plan], None] = lambda plan: None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    say: Callable[[str], None] = lambda sentence: None,
) -> CohortRun:
    """Do every case of a cohort that is not done yet.

    Parameters
    ----------
    source, rows
        Manifest or dataset, and its cases: `napari_sam2.io.manifest.read_manifest` or
        `napari_sam2.io.bids_input.find_cases`.
    output : Path
        One folder for each case in it.
    settings : CohortSettings
        What to do with each case.
    workers : Workers
        Who does it.
    shard : tuple of int
        Number and count: ``(2, 5)`` does the second of five parts.
    only : collection of str, optional
        Names of the cases to do; all by default.
    retries : int
        How often a case is tried again that took its worker with it, or failed for want of something.
    overwrite : bool
        Repeat also what a person has edited since.
    on_planned, on_outcome, say : callable
        Told what is to be done, what became of each case, and what a person should know.

    Raises
    ------
    UserInputError, EnvironmentLacksError, ModelError
        Before anything runs, with one sentence; afterwards only when no case can go on (no worker, disk full).
    """
    plan = make_plan(source, rows, output, settings, shard=shard, only=only, overwrite=overwrite)
    on_planned(plan)
    states = Counter(plan.standings.values())
    edited = tuple(case for case, state in plan.standings.items() if state == "edited")
    run = CohortRun(len(plan.todo), states["done"], edited)
    for case, state in plan.standings.items():
        if state == DAMAGED:
            run.outcomes.append({"case": case, "state": FAILED, "error": UNTRUSTED})
            on_outcome(run.outcomes[-1])
    if plan.todo:
        with contextlib.closing(_outcomes(plan, output, workers, retries, say)) as outcomes:
            for outcome in outcomes:
                run.outcomes.append(outcome)
                on_outcome(outcome)
                if outcome.get("stop"):
                    raise EnvironmentLacksError(f"Case {outcome['case']}: {outcome['error']} The run has ended there.")
    if not (output / COHORT).is_file():
        raise EnvironmentLacksError(
            f"{output.name} was emptied while this run went on; run the same command again: it does what is missing."
        )
    if plan.source_sha256 and (not source.is_file() or sha256_of(source) != plan.source_sha256):
        say(f"{source.name} has changed since this run began; run the same command again to take that in")
    return run


def _outcomes(
    plan: Plan, output: Path, workers: Workers, retries: int, say: Callable[[str], None]
) -> Generator[Outcome]:
    # Only now, and for good reason: a start that finds all done is over before these are imported.
    from napari_sam2.cohort.schedule import run_here, run_on_cluster

    _check_device(plan.todo[0].settings, workers)
    if workers.alone:
        yield from run_here(plan.todo, retries=retries)
        return
    with _client(len(plan.todo), output, workers) as client:
        queued = f"no job has begun yet; see 'squeue', and the logs in {output.name}/{SLURM_FOLDER}; waiting goes on"
        yield from run_on_cluster(
            client, plan.todo, retries=retries, say=say, queued=queued if workers.slurm is not None else ""
        )


def _client(cases: int, output: Path, workers: Workers) -> contextlib.AbstractContextManager[Any]:
    if workers.scheduler:
        return running_scheduler(workers.scheduler, workers.tls)
    if workers.slurm is not None:
        from napari_sam2.cohort.slurm import slurm_cluster

        return slurm_cluster(workers.count or 1, workers.slurm, output.resolve() / SLURM_FOLDER)
    return local_cluster(min(workers.count or default_workers(), cases))


def _check_device(settings: CohortSettings, workers: Workers) -> None:
    """Refuse a device that this machine lacks, where this machine does the work."""
    if settings.device == "auto" or workers.scheduler or workers.slurm is not None:
        return
    from napari_sam2.models import resolve_device

    resolve_device(settings.device)


def parse_shard(text: str) -> tuple[int, int]:
    """``"2/5"`` as ``(2, 5)``.

    Raises
    ------
    UserInputError
        If it is anything else.
    """
    number, _, count = text.partition("/")
    if not (text.isascii() and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise UserInputError(f"--shard {text}: give i/n, for example 1/4 for the first of four parts.")
    return int(number), int(count)
