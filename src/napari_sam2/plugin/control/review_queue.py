"""The order in which doubtful entries are looked at.

The worst first, each once, then from the beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["ReviewQueue"]

KeyT = TypeVar("KeyT", bound="Hashable")


class ReviewQueue(Generic[KeyT]):
    """Remembers what was looked at.

    Attributes
    ----------
    current : key, optional
        The entry that is being looked at.
    """

    def __init__(self) -> None:
        self.current: KeyT | None = None
        self._seen: set[KeyT] = set()

    def next(self, keys: Sequence[KeyT]) -> tuple[KeyT, int] | None:
        """The worst of `keys` that was not looked at.

        They come with the worst first; returned with how many are left after it.

        When all were looked at it begins again; None when there are no keys.
        """
        waiting = [key for key in keys if key not in self._seen]
        if not waiting:
            self._seen.clear()
            waiting = list(keys)
        self.current = waiting[0] if waiting else None
        if self.current is None:
            return None
        self._seen.add(self.current)
        return self.current, len(waiting) - 1

    def forget(self) -> None:
        """Begin anew."""
        self.current = None
        self._seen.clear()
