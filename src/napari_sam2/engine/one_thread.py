"""One thread for numpy's products, while a network answers in numpy.

The products are small: a second thread of OpenBLAS brings nothing and waits awake, so that an answer costs four to six
times as much processor time, and on a busy machine twice as long.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Final

from threadpoolctl import LibController, ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["ONE_THREAD", "OneThread", "set_threads"]

_SETTER: Final = ThreadPoolExecutor(1, "threads-of-products")
"""Sets and gives back, whoever asks: threadpoolctl lets only the first thread that did so do it again."""


@lru_cache(maxsize=1)
def _libraries() -> list[LibController]:
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def set_threads(counts: Sequence[int]) -> list[int]:
    """Give the libraries that many threads, one number each.

    Returns
    -------
    list of int
        How many they had.
    """

    def exchanged() -> list[int]:
        before = [library.num_threads for library in _libraries()]
        for library, count in zip(_libraries(), counts, strict=False):
            library.set_num_threads(count)
        return before

    return _SETTER.submit(exchanged).result()


class OneThread:
    """A limit for the whole process.

    It holds while any of its threads is inside: the first that comes in sets it, the last gives back what was.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before: list[int] = []

    def __enter__(self) -> None:
        """Set the limit, where nobody did."""
        with self._lock:
            if not self._inside:
                self._before = set_threads([1] * len(_libraries()))
            self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        """Give back what was, where nobody is left inside."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                set_threads(self._before)


ONE_THREAD: Final = OneThread()
"""The one of this process."""
