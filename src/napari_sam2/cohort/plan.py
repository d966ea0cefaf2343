"""What a run has to do.

Cases from a manifest or a BIDS dataset, less those that are done and unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from napari_sam2.cohort.job import LOCK, NEEDS_MODEL, TASKS, WITH_CHANNELS, CaseJob, CohortSettings
from napari_sam2.cohort.state import DAMAGED, EDITED, STATUS, TODO, hash_inputs, standing
from napari_sam2.errors import ManifestError, UserInputError
from napari_sam2.hashing import sha256_of
from napari_sam2.io.atomic import check_new_folder, write_text
from napari_sam2.io.guard import files_named_in
from napari_sam2.io.manifest import CASE_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_sam2.io.manifest import ManifestRow

__all__ = ["COHORT", "REPORT", "TABLE", "Plan", "images_of", "in_shard", "make_plan", "read_cohort", "task_of"]

COHORT: Final = "cohort.json"
REPORT: Final = "report.html"
TABLE: Final = "cohort.csv"
"""Files that lie beside the folders of the cases."""
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
        If results would be written over inputs, or into folders that hold other files.
    EnvironmentLacksError
        If the model is not on this machine, or on the server.
    """
    model = {"model": _model_of(settings)} if settings.task in NEEDS_MODEL else {}
    if settings.source:
        proposer = settings.source.proposer()
        proposer.check(settings.text)
        model["source"] = proposer.sha256
    _check_output(output, source, rows, _shared_by_all(settings))
    output.mkdir(parents=True, exist_ok=True)
    _note(output, source, rows, settings)
    mine = [row for row in rows if in_shard(row.case, shard) and (only is None or row.case in only)]
    jobs = [_job(row, output.resolve(), settings) for row in mine]
    with ThreadPoolExecutor(_READERS) as readers:
        jobs = list(readers.map(lambda job: _hashed(job, model), jobs))
        standings = dict(zip((job.case for job in jobs), readers.map(standing, jobs), strict=True))
    open_standings = {TODO, DAMAGED, EDITED} if overwrite else {TODO}
    todo = [job for job in jobs if standings[job.case] in open_standings]
    return Plan(
        tuple(replace(job, redo=overwrite) for job in todo),
        {case: state for case, state in standings.items() if case not in {job.case for job in todo}},
        sha256_of(source) if source.is_file() else "",
    )


def _model_of(settings: CohortSettings) -> str:
    """SHA-256 of the model, here or on the server."""
    if settings.remote is None:
        from napari_sam2.models.fingerprint import fingerprint

        return fingerprint(settings.model)
    from napari_sam2.remote.model import connect

    with closing(connect(settings.remote, settings.token_file, settings.model)) as elsewhere:
        return elsewhere.card.sha256 or elsewhere.card.name


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
    except (OSError, ValueError, RecursionError) as error:
        raise UserInputError(f"{output.name} holds no {COHORT}; give the folder of a 'cohort run'.") from error
    if not _is_cohort(cohort):
        raise UserInputError(
            f"{output.name}/{COHORT} is damaged or of another program; the same 'cohort run' writes it again."
        )
    return dict(cohort)


def _is_cohort(content: Any) -> bool:
    """Whether what was read is what `_note` writes: its names become paths and a page."""
    if not isinstance(content, dict) or content.get("version") != VERSION:
        return False
    cases, settings = content.get("cases"), content.get("settings")
    return (
        isinstance(content.get("source"), str)
        and isinstance(settings, dict)
        and all(isinstance(value, str) for value in settings.values())
        and isinstance(cases, list)
        and all(isinstance(entry, dict) and isinstance(entry.get("group"), str) for entry in cases)
        and all(CASE_NAME.fullmatch(str(entry.get("case"))) for entry in cases)
    )


def _has(row: ManifestRow, columns: tuple[str, ...]) -> bool:
    return all(getattr(row, column) is not None for column in columns)


def _job(row: ManifestRow, output: Path, settings: CohortSettings) -> CaseJob:
    columns = TASKS[settings.task]
    if settings.task == "slide" and row.prompts is not None:
        columns = ("prompts",)
    needed = {column: getattr(row, column).resolve() for column in columns}
    channels = tuple(replace(file, path=file.path.resolve()) for file in row.channels)
    used = channels if settings.task in WITH_CHANNELS else ()
    return CaseJob(
        case=row.case, folder=output / row.case, image=row.image.resolve(), settings=settings, group=row.group,
        channels=used, **needed,
    )  # fmt: skip


def _hashed(job: CaseJob, model: dict[str, str]) -> CaseJob:
    return replace(job, inputs=hash_inputs(job.image, job.prompts, job.session, job.labels, job.channels) | model)


def _note(output: Path, source: Path, rows: Sequence[ManifestRow], settings: CohortSettings) -> None:
    """Write the list of cases, for `cohort status`, `report` and `review`."""
    facts = {
        "version": VERSION,
        "source": Path(os.path.relpath(source.resolve(), output.resolve())).as_posix(),
        "settings": {"task": settings.task, "model": settings.model, "quality": settings.quality,
                     "window": settings.window, "direction": settings.direction, "register": settings.register,
                     "fusion": settings.fusion},
        "cases": [{"case": row.case, "group": row.group} for row in rows],
    }  # fmt: skip
    write_text(output / COHORT, json.dumps(facts, indent=1, ensure_ascii=False) + "\n", overwrite=True)


def _check_output(output: Path, source: Path, rows: Sequence[ManifestRow], shared: Sequence[Path]) -> None:
    """Refuse a folder in which inputs, or files of somebody else, would be written over."""
    check_new_folder(output)
    own = {output.resolve() / name for name in (COHORT, REPORT, TABLE)}
    if source.resolve() in own:
        raise UserInputError(f"{source.name} would be written over in {output.name}; choose another output.")
    faults = [f"Line {row.line}: {fault}" for row in rows if (fault := _fault_of(row, output.resolve(), own, shared))]
    if faults:
        raise ManifestError(faults)


def _shared_by_all(settings: CohortSettings) -> list[Path]:
    """Files that every case is segmented with: a region, and outlines of a size."""
    wish = settings.slide
    regions = [path for path in files_named_in(wish.auto or "") if path.is_file()]
    return [*regions, *([] if wish.like is None else [Path(wish.like)])]


def _fault_of(row: ManifestRow, output: Path, own: set[Path], shared: Sequence[Path]) -> str:
    folder = output / row.case
    named = (row.image, row.prompts, row.session, row.labels, *(file.path for file in row.channels), *shared)
    inputs = [path.resolve() for path in named if path is not None]
    if any(folder == path or folder in path.parents for path in inputs):
        return f"the files of case {row.case!r} lie in its output folder; choose another."
    if folder in own or not own.isdisjoint(inputs):
        return f"a file of case {row.case!r}, or its folder, would be written over; choose another output or name."
    if folder.exists() and not folder.is_dir():
        return f"a file is in the place of the output folder of case {row.case!r}; choose another output."
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).exists() for name in (LOCK, STATUS)):
        return f"the output folder of case {row.case!r} holds files of another program; choose another output."
    return ""


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
