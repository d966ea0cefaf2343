"""Many objects answered on several processors.

The answers are those that one processor would give.

The bundled network is small: one object keeps one processor busy, and two hardly halve its time. So it answers the
prompts of an object on one thread, whatever number there is, and other objects meanwhile on the others. Its answers
are the same to the last bit then with one processor or many, and in whatever order they were computed.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from napari_sam2.models.base import OneThreadModel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["on_its_threads", "side_by_side"]

A = TypeVar("A")
B = TypeVar("B")

AHEAD: Final = 4
"""Items per thread that are begun before the first of them is taken: enough that none waits, few enough to keep."""


def side_by_side(model: Any, work: Callable[[A], B], items: Iterable[A]) -> Generator[B]:
    """`work` on items, several at a time where the model can.

    What comes out is in the order of the items.

    Parameters
    ----------
    model : AnyModel
        Who is asked in `work`; others than a `OneThreadModel` are asked one item after the other.
    work : callable
        Asks the model; changes nothing that another call looks at.
    items : iterable
        What is worked on; only a few are taken before their answers are.
    """
    threads = _threads(model)
    if threads < 2:
        yield from map(work, items)
        return
    import torch

    waiting: deque[Future[B]] = deque()
    try:
        with ThreadPoolExecutor(threads, "napari-sam2 objects", torch.set_num_threads, (1,)) as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(work, item))
                    if len(waiting) > AHEAD * threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for begun in waiting:
                    begun.cancel()
    finally:
        # What a thread sets for itself is what PyTorch gives to threads that begin later.
        torch.set_num_threads(threads)


@contextmanager
def on_its_threads(model: Any) -> Iterator[None]:
    """Let a `OneThreadModel` compute on one thread.

    As long as this lasts; others compute on all.
    """
    threads = _threads(model)
    if threads < 2:
        yield
        return
    import torch

    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _threads(model: Any) -> int:
    """How many threads there are for a `OneThreadModel`, of which it takes one; 1 for others.

    A network, and with it torch, is on this machine only where the model is.
    """
    if not isinstance(model, OneThreadModel) or not model.one_thread:
        return 1
    import torch

    return torch.get_num_threads()
