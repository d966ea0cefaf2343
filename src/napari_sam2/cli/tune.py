"""``napari-sam2 tune``: weights tuned on your own finished scans."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from napari_sam2.cli.app import EXIT_INTERRUPTED, app
from napari_sam2.cli.options import ChannelSuffix, Device, Fusion, Register
from napari_sam2.cli.printing import echo, errors, note, out
from napari_sam2.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_sam2.tuning.tune import Progress

__all__ = ["tune"]

EXIT_NOT_BETTER = 5


@app.command()
def tune(
    sources: Annotated[
        list[Path],
        typer.Argument(help="A manifest, a BIDS dataset, or sessions.", metavar="MANIFEST|BIDS_DIR|SESSIONS"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the model; its name is the model's.")],
    start: Annotated[str, typer.Option("--from", help="The model to begin from.", metavar="NAME|PATH")] = DEFAULT_MODEL,
    minutes: Annotated[float, typer.Option("--minutes", help="How long to learn; scoring comes on top.")] = 15.0,
    seed: Annotated[int, typer.Option("--seed", help="Of everything drawn.")] = 0,
    split: Annotated[
        Path | None, typer.Option("--split", help="split.json of an earlier tuning: its subjects stay where they were.")
    ] = None,
    device: Device = "auto",
    channel_suffix: ChannelSuffix = None,
    register: Register = "",
    fusion: Fusion = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> int:
    """Tune a model on your finished scans, if that makes it better.

    Some subjects are held out, by a rule that is written down; the model is scored on them before and after. Exit code
    5 when it is not better: its weights are then in rejected/.

    napari-sam2 tune manifest.csv -o models/hippocampus --minutes 15

    The manifest has the columns case, image and labels (or session), and subject where people have several scans;
    channel_1 and so on are further channels, the same of every scan; of a BIDS dataset they are named by
    --channel-suffix. Their mix is settled once and kept with it.
    """
    from napari_sam2.models.threads import use_all_cpus
    from napari_sam2.tuning.tune import TuneSettings
    from napari_sam2.tuning.tune import tune as run

    use_all_cpus()
    settings = TuneSettings(start, minutes, seed, split, device, register, fusion, tuple(channel_suffix or ()))
    with _Progress() as bar, _asked_to_stop() as stopped:
        result = run(
            sources, output, settings, resume=resume, on_progress=bar.progress, should_stop=stopped.is_set, say=note
        )
    verdict = result.verdict
    if verdict is None:
        echo(f"stopped; --resume goes on with {output.name}", err=True)
        return EXIT_INTERRUPTED
    out.print((output / "card.md").read_text(encoding="utf-8"))
    echo(f"{output.name} is better and can be given to --model" if verdict.better else f"{output.name}: not better")
    return 0 if verdict.better else EXIT_NOT_BETTER


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that Ctrl+C, or a polite kill, sets once; a second one ends the program as ever."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield asked
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    def stop(_number: int, _frame: object) -> None:
        asked.set()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Progress:
    """Progress on stderr: one bar, renamed for each part of the run."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=errors, transient=True, disable=not errors.is_terminal)
        self._task = self._bar.add_task("reading scans")
        self._what = ""

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def progress(self, progress: Progress) -> None:
        if progress.what != self._what:
            self._what = progress.what
            self._bar.reset(self._task, description=progress.what)
            if not errors.is_terminal:
                errors.print(progress.what)
        self._bar.update(self._task, completed=progress.done, total=progress.total)
        if progress.curve:
            point = progress.curve[-1]
            errors.print(f"step {point.step}: Dice {point.own:.3f}, rehearsed {point.rehearsed:.3f}")
