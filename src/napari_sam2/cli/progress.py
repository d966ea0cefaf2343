"""Progress of a propagation on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from napari_sam2.cli.printing import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_sam2.core.slice_masks import SliceResult

__all__ = ["with_progress_bar"]


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
