"""Run one call in half precision; repeat in float32 if not finite."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from torch import Tensor

__all__ = ["Precision", "half_of"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def half_of(device: torch.device) -> torch.dtype:
    """A device's fast narrow number type; float32 when it has none."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else torch.float32
    if device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
    return torch.float32


class Precision:
    """The type a model multiplies in.

    It falls back to float32 for good when numbers stop being finite.

    Parameters
    ----------
    device : torch.device
        Where the model runs.
    dtype : torch.dtype
        float32, bfloat16 or float16.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype

    def run(self, work: Callable[[], T], tensors: Callable[[T], Iterable[Tensor]]) -> T:
        """Do `work`, again in float32 if its outcome is not finite.

        Its outcome is any of the `tensors`.
        """
        with self._autocast():
            outcome = work()
        if self.dtype == torch.float32 or all(bool(torch.isfinite(t).all()) for t in tensors(outcome)):
            return outcome
        _LOG.warning("Numbers are not finite in %s on %s; going on in float32.", self.dtype, self.device)
        self.dtype = torch.float32
        return work()

    def _autocast(self) -> AbstractContextManager[object]:
        # On a CPU the packed weights are narrow themselves; autocast would only add conversions.
        if self.dtype == torch.float32 or self.device.type == "cpu":
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)
