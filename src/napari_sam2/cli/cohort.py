"""``napari-sam2 cohort``: many scans by the same rules."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from napari_sam2.cli.app import app
from napari_sam2.cli.options import (
    AnswerChoice,
    ChannelSuffix,
    DetectorChoice,
    Device,
    Fusion,
    MemoryChoice,
    Model,
    ProgramChoice,
    Quality,
    Register,
    Remote,
    TokenFile,
    WindowSpec,
    check_remote,
    check_starts_nothing,
    number_or_text,
)
from napari_sam2.cli.printing import echo, errors, out
from napari_sam2.cohort.slide_wish import SlideWish
from napari_sam2.errors import UserInputError
from napari_sam2.finding.asking import Asked
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam2.cohort.case import Outcome
    from napari_sam2.cohort.cluster import Tls
    from napari_sam2.cohort.plan import Plan
    from napari_sam2.cohort.run import CohortRun
    from napari_sam2.cohort.slurm import SlurmChoice
    from napari_sam2.io.manifest import ManifestRow

__all__ = ["cohort"]

EXIT_SOME_FAILED = 1

cohort = typer.Typer(
    name="cohort",
    help="Segment, replay, measure, evaluate or export many scans, and see what became of them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cohort)


@cohort.command()
def run(
    source: Annotated[
        Path, typer.Argument(help="A manifest (CSV), a BIDS dataset, or a folder of slides.", metavar="MANIFEST|FOLDER")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder of results: one folder per case.")],
    task: Annotated[
        str,
        typer.Option("--task", help="segment, replay, measure, evaluate, export or slide; by the manifest otherwise."),
    ] = "auto",
    model: Model = DEFAULT_MODEL,
    window: WindowSpec = "auto",
    direction: Annotated[str, typer.Option("--direction", help="both, forward, backward or none.")] = "both",
    export: Annotated[str, typer.Option("--to", help="For --task export: the ending, such as .seg.nrrd.")] = "",
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="A structure by its name, proposed by --memory and taken unseen.", metavar="NAME"),
    ] = None,
    memory: MemoryChoice = None,
    program: ProgramChoice = "",
    detector: DetectorChoice = "",
    answer: AnswerChoice = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="For a BIDS dataset: prompt files laid out like it; derivatives/prompts."),
    ] = None,
    auto: Annotated[
        str | None, typer.Option("--auto", help="Slides without prompts: what to look for, as in 'slide --auto'.")
    ] = None,
    object_size: Annotated[str | None, typer.Option("--object-size", help="Slides: as in 'slide'.")] = None,
    like: Annotated[Path | None, typer.Option("--like", help="Slides: as in 'slide'.")] = None,
    mpp: Annotated[float | None, typer.Option("--mpp", help="Slides: microns per pixel of all of them.")] = None,
    channel: Annotated[list[str] | None, typer.Option("--channel", help="Slides: as in 'slide'.")] = None,
    polarity: Annotated[str, typer.Option("--polarity", help="Slides: as in 'slide'.")] = "auto",
    plane: Annotated[str | None, typer.Option("--plane", help="Slides: as in 'slide'.")] = None,
    channel_suffix: ChannelSuffix = None,
    register: Register = "",
    fusion: Fusion = "auto",
    workers: Annotated[int, typer.Option("--workers", min=0, help="Worker processes; 0 chooses.")] = 0,
    scheduler: Annotated[
        str, typer.Option("--scheduler", help="A running dask scheduler.", metavar="ADDRESS|FILE")
    ] = "",
    tls_ca: Annotated[Path | None, typer.Option("--tls-ca", help="For a scheduler on another host.")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="For a scheduler on another host.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="For a scheduler on another host.")] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Ask SLURM for --workers jobs.")] = False,
    slurm_cores: Annotated[int, typer.Option("--slurm-cores", help="Processors of a job.")] = 4,
    slurm_memory: Annotated[str, typer.Option("--slurm-memory", help="Memory of a job.")] = "8GB",
    slurm_time: Annotated[str, typer.Option("--slurm-time", help="Wall time of a job, HH:MM:SS.")] = "04:00:00",
    slurm_line: Annotated[
        list[str] | None, typer.Option("--slurm-line", help="A further directive, such as --gres=gpu:1.")
    ] = None,
    shard: Annotated[
        str,
        typer.Option("--shard", help="Only part i of n; without --workers also without a scheduler.", metavar="i/n"),
    ] = "",
    limit: Annotated[
        float, typer.Option("--limit", min=0, help="Minutes after which a case counts as hanging; 0 sets none.")
    ] = 0,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Further tries of a case that crashes.")] = 1,
    device: Device = "auto",
    quality: Quality = "auto",
    remote: Remote = None,
    token_file: TokenFile = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Repeat also what was edited by hand.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what became of the run as JSON.")] = False,
) -> int:
    """Do every case that is not done yet.

    Exit code 1 when some failed.

    napari-sam2 cohort run manifest.csv -o results --workers 4

    The manifest has the columns case, image and prompts (or session, or labels); paths are relative to it. With
    --task slide, or --auto, the cases are slides of a manifest or a folder (docs/slides.md).
    Started again, it skips what is done and unchanged, by the hashes of image, prompts and model.

    With --text, cases that have labels or a session are the finished scans, and the others are done by them
    (docs/names.md); --memory names finished scans elsewhere.
    """
    from napari_sam2.cohort.job import CohortSettings
    from napari_sam2.cohort.run import Workers, parse_shard, run_cohort

    _check_choices(task, direction, export)
    check_remote(device, quality, remote, token_file)
    check_starts_nothing(remote)
    asked = Asked(memory, program, detector, device)
    become = asked.answer(answer, text)
    wish = _slide_wish(auto, object_size, like, mpp, channel or [], polarity, plane)
    if task == "slide" or wish != SlideWish():
        rows, task = _slides(source, task, wish, remote), "slide"
    elif text:
        rows, task, asked = _unfinished(source, task, asked)
    elif asked or task == "find":
        raise UserInputError("--text names what is to be found; give it once for each structure.")
    else:
        rows, task = _cases(source, task, prompts, channel_suffix or [])
    _check_channels(rows, task, register, fusion)
    where = Workers(
        count=workers,
        scheduler=scheduler,
        tls=_tls(tls_ca, tls_cert, tls_key),
        slurm=_slurm(slurm_cores, slurm_memory, slurm_time, slurm_line or []) if slurm else None,
        alone=bool(shard) and not (workers or scheduler or slurm),
    )
    if bool(scheduler) + slurm > 1:
        raise UserInputError("Give either --scheduler or --slurm, not both.")
    settings = CohortSettings(
        task=task, model=_model_path(model) if remote is None else model, device=device, quality=quality, window=window,
        direction=direction, export=export, limit=limit, text=tuple(text or ()),
        source=asked, answer=become, register=register, fusion=fusion,
        slide=wish, remote=remote, token_file=None if token_file is None else token_file.resolve(),
    )  # fmt: skip
    with _Shown() as progress:
        result = run_cohort(
            source,
            rows,
            output,
            settings,
            workers=where,
            shard=parse_shard(shard) if shard else (1, 1),
            retries=retries,
            overwrite=overwrite,
            on_planned=progress.planned,
            on_outcome=progress.outcome,
            say=progress.say,
        )
    _tell(result, output, as_json)
    return EXIT_SOME_FAILED if result.failures else 0


class _Shown:
    """Progress on stderr, with a line for every case that failed."""

    def __init__(self) -> None:
        columns = (TextColumn("Cases"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
        self._task = self._bar.add_task("Cases")
        self._planned = self._settled = 0

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def planned(self, plan: Plan) -> None:
        skipped = sum(state == "done" for state in plan.standings.values())
        self._planned = len(plan.todo)
        self._bar.update(self._task, total=self._planned)
        errors.print(f"{len(plan.todo)} cases to do, {skipped} done already and unchanged")

    def outcome(self, outcome: Outcome) -> None:
        self._bar.advance(self._task)
        self._settled += 1
        if outcome["state"] == "failed":
            errors.print(f"FAILED {outcome['case']}: {outcome['error']}")
        elif not errors.is_terminal:  # the log of a job: there is no bar in it
            errors.print(f"{outcome['state']} {outcome['case']} ({self._settled} of {self._planned})")

    def say(self, sentence: str) -> None:
        errors.print(f"note: {sentence}")


def _tell(result: CohortRun, output: Path, as_json: bool) -> None:
    for case in result.edited:
        errors.print(f"note: {case} was edited by hand and is kept; --overwrite repeats it")
    counts = result.counts
    if as_json:
        facts: dict[str, Any] = {
            "done": counts.get("done", 0),
            "skipped": result.skipped,
            "edited": list(result.edited),
            "busy": [o["case"] for o in result.outcomes if o["state"] == "busy"],
            "failed": result.failures,
        }
        echo(json.dumps(facts))
        return
    parts = [f"{counts.get('done', 0)} done", f"{result.skipped} skipped", f"{len(result.failures)} failed"]
    if counts.get("busy"):
        parts.append(f"{counts['busy']} being worked on by another run")
    out.print(f"{', '.join(parts)}; see 'napari-sam2 cohort report {output}'")


def _check_channels(rows: Sequence[ManifestRow], task: str, register: str, fusion: str) -> None:
    """Refuse choices about channels that mean nothing."""
    from napari_sam2.channels.refusing import check_registration
    from napari_sam2.cohort.job import WITH_CHANNELS

    check_registration(register)
    several = any(row.channels for row in rows)
    if (register or fusion != "auto") and not (several and task in WITH_CHANNELS):
        raise UserInputError(
            "--register and --fusion are for further channels; name them in columns channel_1 and so on."
        )


def _cases(source: Path, task: str, prompts: Path | None, suffixes: Sequence[str]) -> tuple[Any, str]:
    from napari_sam2.cohort.job import TASKS
    from napari_sam2.cohort.plan import task_of
    from napari_sam2.io.manifest import read_manifest

    if source.is_dir():
        from napari_sam2.io.bids_input import find_cases

        if task not in ("auto", "segment"):
            raise UserInputError(
                "Of a BIDS dataset, images are segmented from prompts; use a manifest for other tasks."
            )
        return find_cases(source, prompts, channels=suffixes), "segment"
    if suffixes:
        raise UserInputError(
            "--channel-suffix is for a BIDS dataset; a manifest names channels in channel_1 and so on."
        )
    if prompts is not None:
        raise UserInputError("--prompts is for a BIDS dataset; a manifest names prompts in a column.")
    columns = TASKS[task] if task in TASKS else sorted({column for needed in TASKS.values() for column in needed})
    rows = read_manifest(source, needs=[columns])
    return rows, task_of(rows, task)


def _slide_wish(
    auto: str | None,
    object_size: str | None,
    like: Path | None,
    mpp: float | None,
    channel: list[str],
    polarity: str,
    plane: str | None,
) -> SlideWish:
    from napari_sam2.hashing import sha256_of
    from napari_sam2.io.payload import existing_file

    region = auto.removeprefix("nuclei:") if auto else ""
    is_file = bool(region) and Path(region).is_file()
    if auto and is_file:  # by its full path: workers may start elsewhere
        auto = auto.removesuffix(region) + str(Path(region).resolve())
    return SlideWish(
        auto,
        object_size,
        None if like is None else like.resolve(),
        mpp,
        tuple(number_or_text(text) for text in channel),
        polarity,
        plane,
        "" if like is None else sha256_of(existing_file(like)),
        sha256_of(Path(region)) if is_file else "",
    )


def _slides(source: Path, task: str, wish: SlideWish, remote: str | None) -> Any:
    """The slides of a folder or manifest."""
    from napari_sam2.cohort.slides import check_slide_file, check_slide_prompts, slides_in
    from napari_sam2.io.manifest import read_manifest

    if task not in ("auto", "slide"):
        raise UserInputError(f"--auto and the other choices for slides do not go with --task {task}; leave it out.")
    if wish.auto is not None and remote is not None:
        raise UserInputError("--auto asks a model on the same machine about thousands of points; leave out --remote.")
    if source.is_dir():
        rows = slides_in(source)
    else:
        rows = read_manifest(source, checks={"image": check_slide_file, "prompts": check_slide_prompts})
    without = next((row.case for row in rows if row.prompts is None), None)
    if wish.auto is None and without is not None:
        raise UserInputError(f"The slide {without} has no prompts; name them in the manifest, or give --auto REGION.")
    return rows


def _unfinished(manifest: Path, task: str, asked: Asked) -> tuple[Any, str, Asked]:
    """The cases to find structures in, and who says where they are: finished ones of the manifest by default."""
    from napari_sam2.io.manifest import read_manifest

    if task not in ("auto", "find"):
        raise UserInputError(f"--text finds structures; leave out --task {task}.")
    if manifest.is_dir():
        raise UserInputError("--text takes a manifest, with the columns case and image; a BIDS dataset is not offered.")
    rows = read_manifest(manifest)
    if not asked:
        rows = tuple(row for row in rows if row.labels is None and row.session is None)
        asked = Asked(manifest)
    if not rows:
        raise UserInputError(f"All cases of {manifest.name} are finished: they have labels or a session.")
    memory = None if asked.memory is None else asked.memory.resolve()
    return rows, "find", replace(asked, memory=memory, detector=_model_path(asked.detector) if asked.detector else "")


def _check_choices(task: str, direction: str, export: str) -> None:
    from napari_sam2.cohort.job import TASKS

    if task not in ("auto", *TASKS):
        raise UserInputError(f"--task {task}: choose one of {', '.join(TASKS)}.")
    # Not from `napari_sam2.jobs.segment`, which brings torch: a start that finds all done should be quick.
    directions = ("both", "forward", "backward", "none")
    if direction not in directions:
        raise UserInputError(f"--direction {direction}: choose one of {', '.join(directions)}.")
    if (task == "export") != bool(export):
        raise UserInputError("--task export and --to ENDING belong together, for example --to .seg.nrrd.")
    from napari_sam2.io.formats import exported_suffixes

    if export and export not in exported_suffixes():
        raise UserInputError(f"--to {export}: choose one of {', '.join(exported_suffixes())}.")


def _model_path(model: str) -> str:
    """A model's folder or file by its full path: workers may start elsewhere."""
    return str(Path(model).resolve()) if Path(model).exists() else model


def _tls(authority: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    from napari_sam2.cohort.cluster import Tls

    if authority is None and certificate is None and key is None:
        return None
    if authority is None or certificate is None or key is None:
        raise UserInputError("--tls-ca, --tls-cert and --tls-key are needed together.")
    return Tls(authority, certificate, key)


def _slurm(cores: int, memory: str, walltime: str, lines: list[str]) -> SlurmChoice:
    from napari_sam2.cohort.slurm import SlurmChoice

    if not all(part.isdigit() for part in walltime.split(":")):
        raise UserInputError(f"--slurm-time {walltime}: give HH:MM:SS, for example 04:00:00.")
    return SlurmChoice(cores, memory, walltime, tuple(lines))


@cohort.command()
def status(
    output: Annotated[Path, typer.Argument(help="The folder of a cohort.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> int:
    """Say how many cases are done, edited, failed and open.

    Why some failed is said too; exit code 1 if any did.

    napari-sam2 cohort status results
    """
    from napari_sam2.cohort.summary import summarise

    summary = summarise(output)
    states = {state: summary.count(state) for state in ("done", "edited", "failed", "todo")}
    failures = {case.case: str(case.status["error"]) for case in summary.cases if case.state == "failed"}
    if as_json:
        echo(json.dumps({**states, "failures": failures}))
    else:
        out.print(", ".join(f"{count} {state}" for state, count in states.items()))
        for case, sentence in failures.items():
            out.print(f"{case}: {sentence}")
    return EXIT_SOME_FAILED if failures else 0


@cohort.command()
def report(output: Annotated[Path, typer.Argument(help="The folder of a cohort.")]) -> None:
    """Write report.html, which opens in any browser without a network, and cohort.csv.

    napari-sam2 cohort report results
    """
    from napari_sam2.cohort.report import write_report

    for path in write_report(output):
        echo(f"wrote {path}")


@cohort.command()
def review(
    output: Annotated[Path, typer.Argument(help="The folder of a cohort.")],
    by: Annotated[
        str, typer.Option("--by", help="doubt; voxels: doubt times the slice's voxels; or case: one by one.")
    ] = "doubt",
    only_list: Annotated[bool, typer.Option("--list", help="Print the queue and open no window.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="For --list: how many slices.")] = 20,
) -> None:
    """Look at the most doubtful slices of all cases in napari.

    The worst first: accept, correct, flag, next.

    napari-sam2 cohort review results --by voxels
    """
    from napari_sam2.cohort.review import review_items

    items = review_items(output, by)
    if only_list:
        for item in items[:limit]:
            echo(f"{item.case}\t{item.name}\tslice {item.index}\tdoubt {item.doubt:.2f}\t{item.voxels} voxels")
        return
    if not items:
        echo("Nothing is left to review.")
        return
    from napari_sam2.cli.window import open_review

    open_review(output, by)
