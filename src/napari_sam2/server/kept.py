"""Values by key with their bytes, the least recently used first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["Kept", "bytes_of"]

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")

PACKAGE = __name__.partition(".")[0]


class Kept(Generic[K, V]):
    """Values by key, bounded in number.

    Bytes are bounded where all are counted together.

    Parameters
    ----------
    most : int
        How many; the least recently used ones go.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.nbytes = 0
        """Bytes of arrays, tensors and weights in all values."""

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __getitem__(self, key: K) -> V:
        """The value of a key, which is now the most recently used one."""
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: K, value: V) -> None:
        """Take in a value."""
        self.forget((key,))
        size = bytes_of(value)
        self._values[key] = (value, size)
        self.nbytes += size
        while len(self._values) > self._most:
            self.drop_oldest()

    def forget(self, keys: Iterable[K]) -> None:
        """Let go of some, which need not be there."""
        for key in keys:
            _, size = self._values.pop(key, (None, 0))
            self.nbytes -= size

    def drop_oldest(self) -> None:
        """Let go of the one that was not used for longest."""
        _, (_, size) = self._values.popitem(last=False)
        self.nbytes -= size

    def clear(self) -> None:
        """Let go of all."""
        self._values.clear()
        self.nbytes = 0


def bytes_of(value: Any) -> int:
    """Bytes of all arrays that a value leads to.

    Tensors, weights and the compressed bits of masks too; each is counted once.
    """
    seen: set[int] = set()
    total = 0
    open_ones = [value]
    while open_ones:
        one = open_ones.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor | np.ndarray):
            total += int(one.nbytes)
        elif isinstance(one, bytes):
            total += len(one)
        elif isinstance(one, torch.nn.Module):
            open_ones += [*one.parameters(), *one.buffers()]
        elif isinstance(one, dict):
            open_ones += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            open_ones += one
        elif is_dataclass(one) and not isinstance(one, type):
            open_ones += [getattr(one, field.name) for field in fields(one)]
        elif type(one).__module__.startswith(PACKAGE):
            open_ones += vars(one).values() if hasattr(one, "__dict__") else []
    return total
