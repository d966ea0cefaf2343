"""GPU out of memory: continue on the CPU.

What was answered stays.
"""

from __future__ import annotations

import logging
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from napari_sam2.models.base import MovableModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from napari_sam2.models.base import Decoded, DecodeRequest, Features, RememberRequest, SegmentationModel

__all__ = ["OnCpu", "moved", "on_cpu"]

_LOG = logging.getLogger(__name__)

_CPU = torch.device("cpu")

T = TypeVar("T")


def on_cpu(model: SegmentationModel) -> SegmentationModel | None:
    """The same model on the CPU, taking requests from before.

    None when it is there already, or cannot go.
    """
    if not isinstance(model, MovableModel):
        return None
    there = model.on_cpu()
    if there is model:
        return None
    _LOG.warning(
        "Memory has run out on %s; %s goes on on the CPU, more slowly. Prompts and masks so far are kept.",
        model.device,
        model.card.name,
    )
    return OnCpu(there)


class OnCpu:
    """A model on the CPU that takes requests from a GPU.

    Requests may hold tensors of the device that it has left.

    Parameters
    ----------
    model : SegmentationModel
        Runs on the CPU.
    """

    def __init__(self, model: SegmentationModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        """What else a model knows of itself: card, view policy, sizes, device."""
        return getattr(self._model, name)

    def on_cpu(self) -> OnCpu:
        """Itself: it is there."""
        return self

    def encode(self, images: Tensor) -> list[Features]:
        """As `SegmentationModel.encode`."""
        return self._model.encode(images.to(_CPU))

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Decoded]:
        """As `SegmentationModel.decode`."""
        return self._model.decode([moved(request, _CPU) for request in requests])

    def remember(self, requests: Sequence[RememberRequest]) -> list[Any]:
        """As `SegmentationModel.remember`."""
        return self._model.remember([moved(request, _CPU) for request in requests])


def moved(value: T, device: torch.device) -> T:
    """The same with every tensor in it on a device.

    At any depth of tuples, lists and dataclasses.
    """
    if isinstance(value, torch.Tensor):
        return cast("T", value.to(device))
    if isinstance(value, (tuple, list)):
        return type(value)(moved(item, device) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: moved(getattr(value, field.name), device) for field in fields(value)}
        return replace(value, **changed)
    return value
