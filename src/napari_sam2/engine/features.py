"""Features of views, computed once.

Kept within a memory budget, and on disk beyond it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import torch

from napari_sam2.engine.batching import in_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from napari_sam2.engine.feature_files import DiskFeatures
    from napari_sam2.engine.view import View
    from napari_sam2.models.base import Features, SegmentationModel

__all__ = ["DEFAULT_BUDGET", "FeatureCache"]

DEFAULT_BUDGET: Final = 1 << 30
"""Bytes of features kept: 250 slices at 512 px exactly, 500 in half precision; a quarter of it at 1024 px."""

ENCODE_BATCH: Final = 4
"""Views encoded in one forward pass; more gains nothing on a CPU and costs memory."""


class FeatureCache:
    """Encodes views on demand and keeps the most recently used features.

    Features are kept as the model computes them while those of a whole volume fit the budget, and in half
    precision (float16) otherwise. It is decided once, with the first view, so that a view has the same features
    whenever it is asked for, and wherever they come from: the disk holds what the model computed. Several threads may
    ask at a time.

    Parameters
    ----------
    model : SegmentationModel
        Does the encoding.
    read : callable
        Gives the image (C, S, S) in [0, 1] of a slice index and view.
    budget : int
        Bytes to keep; the least recently used features go first.
    n_slices : int
        How many views are to be expected.
    disk : DiskFeatures, optional
        Where features are kept beyond the budget and the process.
    move_away : callable
        As `napari_sam2.engine.batching.in_batches` takes it; calls `move` where it succeeds.
    """

    def __init__(
        self,
        model: SegmentationModel,
        read: Callable[[int, View], Tensor],
        budget: int = DEFAULT_BUDGET,
        n_slices: int = 1,
        disk: DiskFeatures | None = None,
        move_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._model = model
        self._read = read
        self._budget = budget
        self._n_slices = n_slices
        self._disk = disk
        self._move_away = move_away
        self._narrow: bool | None = None
        self._kept: OrderedDict[tuple[int, View], Features] = OrderedDict()
        self._bytes = 0
        self.n_encoded = 0
        self._lock = threading.RLock()

    @property
    def nbytes(self) -> int:
        """Bytes kept in memory now."""
        return self._bytes

    def get(self, wanted: Sequence[tuple[int, View]]) -> list[Features]:
        """Features of (slice index, view) pairs, in float32.

        Those that are not kept are encoded.
        """
        with self._lock:
            by_key = self._found(wanted)
        return [tuple(tensor.float() for tensor in by_key[key]) for key in wanted]

    def clear(self) -> None:
        """Forget everything in memory, for example because the window has changed."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def relieve(self) -> bool:
        """Forget half of what is kept.

        No more than that is kept from now on: memory has run out.

        Returns
        -------
        bool
            Whether there was anything to forget; the last view is always kept.
        """
        with self._lock:
            before = self._bytes
            if self._kept:
                self._budget = before // 2
                self._shrink()
            if self._model.device.type == "cuda":
                torch.cuda.empty_cache()
            return self._bytes < before

    def move(self, model: SegmentationModel) -> None:
        """Let another model, on another device, encode from now on.

        What is kept goes there.
        """
        self._model = model
        for key, features in self._kept.items():
            self._kept[key] = tuple(_to_device(tensor, model.device) for tensor in features)

    def _found(self, wanted: Sequence[tuple[int, View]]) -> dict[tuple[int, View], Features]:
        """What is kept, and what is encoded now."""
        by_key: dict[tuple[int, View], Features] = {}
        for key in dict.fromkeys(wanted):
            kept = self._kept.get(key) or self._from_disk(key)
            if kept is not None:
                by_key[key] = kept
        missing = [key for key in dict.fromkeys(wanted) if key not in by_key]
        encoded = in_batches(missing, ENCODE_BATCH, self._encode, self.relieve, self._move_away)
        by_key.update(zip(missing, encoded, strict=True))
        self.n_encoded += len(missing)
        for key in by_key:
            if key in self._kept:
                self._kept.move_to_end(key)
        return by_key

    def _encode(self, batch: Sequence[tuple[int, View]]) -> list[Features]:
        images = torch.stack([self._read(index, view) for index, view in batch])
        computed = self._model.encode(_to_device(images, self._model.device))
        encoded = [self._rounded(features) for features in computed]
        for (index, view), exact, features in zip(batch, computed, encoded, strict=True):
            self._keep((index, view), features)
            if self._disk is not None:
                self._disk.save(index, view, exact)
        return encoded

    def _rounded(self, features: Features) -> Features:
        if self._narrow is None:
            self._narrow = self._n_slices * _nbytes(features) > self._budget
        return tuple(tensor.to(torch.float16) for tensor in features) if self._narrow else features

    def _from_disk(self, key: tuple[int, View]) -> Features | None:
        stored = None if self._disk is None else self._disk.load(*key)
        if stored is None:
            return None
        features = self._rounded(tuple(_to_device(tensor, self._model.device) for tensor in stored))
        self._keep(key, features)
        return features

    def _keep(self, key: tuple[int, View], features: Features) -> None:
        self._kept[key] = features
        self._bytes += _nbytes(features)
        self._shrink()

    def _shrink(self) -> None:
        while self._bytes > self._budget and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _nbytes(dropped)


def _nbytes(features: Features) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in features)


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; through pinned memory to a GPU, so that the copy need not be waited for."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
