"""Features of views, computed once and kept within a memory budget."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from napari_sam2.engine.view import View
    from napari_sam2.models.base import Features, SegmentationModel

__all__ = ["DEFAULT_BUDGET", "FeatureCache"]

DEFAULT_BUDGET: Final = 1 << 30
"""Bytes of features kept: all slices of a usual volume at 512 px, the last hundred at 1024 px."""

ENCODE_BATCH: Final = 4
"""Views encoded in one forward pass; more gains nothing on a CPU and costs memory."""


class FeatureCache:
    """Encodes views on demand and keeps the most recently used features.

    Parameters
    ----------
    model : SegmentationModel
        Does the encoding.
    read : callable
        Gives the image (C, S, S) in [0, 1] of a slice index and view.
    budget : int
        Bytes to keep; the least recently used features go first.
    """

    def __init__(
        self, model: SegmentationModel, read: Callable[[int, View], Tensor], budget: int = DEFAULT_BUDGET
    ) -> None:
        self._model = model
        self._read = read
        self._budget = budget
        self._kept: OrderedDict[tuple[int, View], Features] = OrderedDict()
        self._bytes = 0
        self.n_encoded = 0

    @property
    def nbytes(self) -> int:
        """Bytes kept now."""
        return self._bytes

    def get(self, wanted: Sequence[tuple[int, View]]) -> list[Features]:
        """Features of (slice index, view) pairs, encoding those that are not kept."""
        found: dict[tuple[int, View], Features] = {key: self._kept[key] for key in wanted if key in self._kept}
        missing = [key for key in dict.fromkeys(wanted) if key not in found]
        for start in range(0, len(missing), ENCODE_BATCH):
            batch = missing[start : start + ENCODE_BATCH]
            images = torch.stack([self._read(index, view) for index, view in batch])
            for key, features in zip(batch, self._model.encode(images.to(self._model.device)), strict=True):
                found[key] = features
                self._keep(key, features)
        self.n_encoded += len(missing)
        for key in found:
            if key in self._kept:
                self._kept.move_to_end(key)
        return [found[key] for key in wanted]

    def clear(self) -> None:
        """Forget everything, for example because the window has changed."""
        self._kept.clear()
        self._bytes = 0

    def _keep(self, key: tuple[int, View], features: Features) -> None:
        self._kept[key] = features
        self._bytes += _nbytes(features)
        while self._bytes > self._budget and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _nbytes(dropped)


def _nbytes(features: Features) -> int:
    return sum(tensor.element_size() * tensor.nelement() for tensor in features)
