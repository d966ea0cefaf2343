"""Progress of prompts and of a propagation on stderr."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from napari_sam2.cli.printing import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_sam2.core.slice_masks import SliceResult

__all__ = ["answering_bar", "with_progress_bar"]


def with_progress_bar(results: Iterable[SliceResult], total: int) -> Iterator[SliceResult]:
    """Pass results on, with a bar.

    The bar knows how many slices may come at most.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("slices"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("Propagating", total=total)
        for result in results:
            progress.advance(task)
            yield result


@contextmanager
def answering_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar of prompted objects.

    What is given is told how many are answered. The bar is gone once all are, so that another bar can follow.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("objects"))
    progress = Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
    task = progress.add_task("Answering prompts", total=None)

    def tell(done: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)
        if done == total:
            progress.stop()

    try:
        yield tell
    finally:
        progress.stop()
