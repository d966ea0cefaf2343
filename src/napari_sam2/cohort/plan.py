"""What a run has to do.

Cases from a manifest or a BIDS dataset, less those that are done and unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.job import TASKS, CaseJob, CohortSettings
from napari_sam2.cohort.state import EDITED, TODO, hash_inputs, standing
from napari_sam2.cohort.tasks import NEEDS_MODEL
from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_sam2.io.manifest import ManifestRow

__all__ = ["COHORT", "Plan", "images_of", "in_shard", "make_plan", "read_cohort", "task_of"]

COHORT: Final = "cohort.json"
VERSION: Final = 1
_READERS: Final = 8
"""Files hashed side by side: the disk is waited for, not the processor."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The cases of a run.

    Attributes
    ----------
    todo : tuple of CaseJob
        To be done, in the order of the manifest.
    standings : dict of str to str
        Where every other case stands, by name, see `napari_sam2.cohort.state.standing`.
    source_sha256 : str
        Of the manifest; empty for a dataset.
    """

    todo: tuple[CaseJob, ...]
    standings: dict[str, str]
    source_sha256: str


def make_plan(
    source: Path,
    rows: Sequence[ManifestRow],
    output: Path,
    settings: CohortSettings,
    *,
    shard: tuple[int, int] = (1, 1),
    only: Collection[str] | None = None,
    overwrite: bool = False,
) -> Plan:
    """Find out what is to be done.

    The cohort is noted in `output`.

    Parameters
    ----------
    source : Path
        The manifest or dataset that the rows are from.
    rows : sequence of ManifestRow
        Its cases.
    output : Path
        The folder of results; made if missing.
    settings : CohortSettings
        What to do with each case.
    shard : tuple of int
        Number and count: ``(2, 5)`` plans the second of five parts.
    only : collection of str, optional
        Names of the cases to plan; all by default.
    overwrite : bool
        Plan cases also that a person has edited since.

    Raises
    ------
    UserInputError
        If the output holds another cohort, or is inside the inputs.
    EnvironmentLacksError
        If the model is not on this machine.
    """
    from napari_sam2.finding.job import memory_of
    from napari_sam2.models.fingerprint import fingerprint

    model = {"model": fingerprint(settings.model)} if settings.task in NEEDS_MODEL else {}
    if settings.memory is not None:
        memory = memory_of(settings.memory)
        memory.check(settings.text)
        model["memory"] = memory.sha256
    _check_output(output, rows)
    output.mkdir(parents=True, exist_ok=True)
    _note(output, source, rows, settings)
    mine = [row for row in rows if in_shard(row.case, shard) and (only is None or row.case in only)]
    jobs = [_job(row, output.resolve(), settings) for row in mine]
    with ThreadPoolExecutor(_READERS) as readers:
        jobs = list(readers.map(lambda job: _hashed(job, model), jobs))
        standings = dict(zip((job.case for job in jobs), readers.map(standing, jobs), strict=True))
    open_standings = {TODO, EDITED} if overwrite else {TODO}
    todo = [job for job in jobs if standings[job.case] in open_standings]
    return Plan(
        tuple(replace(job, redo=overwrite) for job in todo),
        {case: state for case, state in standings.items() if case not in {job.case for job in todo}},
        sha256_of(source) if source.is_file() else "",
    )


def in_shard(case: str, shard: tuple[int, int]) -> bool:
    """Whether a case belongs to a part.

    By its name, so that it stays there when the manifest grows.
    """
    number, count = shard
    return int.from_bytes(hashlib.sha256(case.encode()).digest()[:8]) % count == number - 1


def task_of(rows: Sequence[ManifestRow], task: str) -> str:
    """The task that was asked for.

    Or the first that the rows have everything for.
    """
    if task != "auto":
        return task
    first = next((name for name, columns in TASKS.items() if columns and all(_has(row, columns) for row in rows)), None)
    if first is None:
        raise UserInputError("Not every case has prompts, a session or labels; say with --task what is to be done.")
    return first


def read_cohort(output: Path) -> dict[str, Any]:
    """What was noted of the last run: ``cases``, ``settings``, ``source``.

    Raises
    ------
    UserInputError
        If the folder holds no cohort.
    """
    try:
        cohort = json.loads((output / COHORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserInputError(f"{output.name} holds no {COHORT}; give the folder of a 'cohort run'.") from error
    if not isinstance(cohort, dict) or cohort.get("version") != VERSION:
        raise UserInputError(f"{output.name}/{COHORT} is of another version of this program.")
    return cohort


def _has(row: ManifestRow, columns: tuple[str, ...]) -> bool:
    return all(getattr(row, column) is not None for column in columns)


def _job(row: ManifestRow, output: Path, settings: CohortSettings) -> CaseJob:
    needed = {column: getattr(row, column).resolve() for column in TASKS[settings.task]}
    return CaseJob(
        case=row.case, folder=output / row.case, image=row.image.resolve(), settings=settings, group=row.group, **needed
    )


def _hashed(job: CaseJob, model: dict[str, str]) -> CaseJob:
    return replace(job, inputs=hash_inputs(job.image, job.prompts, job.session, job.labels) | model)


def _note(output: Path, source: Path, rows: Sequence[ManifestRow], settings: CohortSettings) -> None:
    """Write the list of cases, for `cohort status`, `report` and `review`."""
    facts = {
        "version": VERSION,
        "source": Path(os.path.relpath(source.resolve(), output.resolve())).as_posix(),
        "settings": {"task": settings.task, "model": settings.model, "quality": settings.quality,
                     "window": settings.window, "direction": settings.direction},
        "cases": [{"case": row.case, "group": row.group} for row in rows],
    }  # fmt: skip
    write_text(output / COHORT, json.dumps(facts, indent=1, ensure_ascii=False) + "\n", overwrite=True)


def _check_output(output: Path, rows: Sequence[ManifestRow]) -> None:
    """Refuse a folder in which an input lies: a case's folder would be written into."""
    folder = output.resolve()
    faults = []
    for row in rows:
        mine = folder / row.case
        inputs = [path for path in (row.image, row.prompts, row.session, row.labels) if path is not None]
        if any(mine in path.resolve().parents or path.resolve() == mine for path in inputs):
            faults.append(f"Line {row.line}: the files of case {row.case!r} lie in its output folder; choose another.")
    if faults:
        raise ManifestError(faults)
    if output.exists() and not output.is_dir():
        raise UserInputError(f"{output.name} is a file; give a folder for the results.")


def images_of(output: Path) -> dict[str, Path]:
    """The scan of every case.

    By the manifest or dataset that the last run was made from.

    Raises
    ------
    UserInputError
        If it is not where it was, or is wrong by now.
    """
    from napari_sam2.io.manifest import read_manifest

    source = output / read_cohort(output)["source"]
    if source.is_dir():
        images = [path for path in source.glob("sub-*/**/sub-*") if path.name.endswith((".nii.gz", ".nii"))]
        return {path.name.removesuffix(".gz").removesuffix(".nii"): path for path in images}
    return {row.case: row.image for row in read_manifest(source)}
