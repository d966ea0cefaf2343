"""Smaller batches when memory runs out.

The session is not lost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

import torch

from napari_sam2.errors import EnvironmentLacksError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["in_batches", "is_out_of_memory"]

_LOG = logging.getLogger(__name__)

A = TypeVar("A")
B = TypeVar("B")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory has run out.

    That of the machine or of its GPU.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # PyTorch's CPU allocator and oneDNN raise a plain RuntimeError; MPS says "out of memory".
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        words in text for words in ("can't allocate memory", "not enough memory", "out of memory", "could not create a")
    )


def in_batches(
    items: Sequence[A],
    size: int,
    work: Callable[[Sequence[A]], list[B]],
    relieve: Callable[[], bool],
    move_away: Callable[[], bool] = lambda: False,
) -> list[B]:
    """`work` on items, `size` at a time.

    When memory runs out, relieve it and go on with half as many.

    Parameters
    ----------
    items : sequence
        What is to be worked on.
    size : int
        Most items at a time.
    work : callable
        One answer per item; must leave nothing behind when it fails.
    relieve : callable
        Frees a part of what can be computed again; False when there was nothing left to free.
    move_away : callable
        Called when one item alone does not fit: lets `work` use another memory from now on; False when there
        is none.

    Raises
    ------
    EnvironmentLacksError
        If memory does not suffice for one item alone, with nothing left to free and nowhere to go.
    """
    answers: list[B] = []
    while len(answers) < len(items):
        batch = items[len(answers) : len(answers) + size]
        try:
            answers += work(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            _LOG.warning("Memory has run out with %d at a time; going on with fewer.", len(batch))
            if not relieve() and len(batch) == 1 and not move_away():
                raise EnvironmentLacksError(
                    "There is not enough memory for one slice of this model; choose a lower quality or a smaller "
                    "model, or close other programs. Prompts and masks so far are kept."
                ) from error
            size = max(1, len(batch) // 2)
    return answers
