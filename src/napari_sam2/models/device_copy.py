"""Networks copied to another device.

No room for a copy is needed on the first.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

from torch import nn

if TYPE_CHECKING:
    import torch

__all__ = ["copy_to"]

Network = TypeVar("Network", bound=nn.Module)


def copy_to(network: Network, device: torch.device) -> Network:
    """A copy of a network on another device, for inference only."""
    there: dict[int, object] = {
        id(weight): nn.Parameter(weight.detach().to(device), requires_grad=False) for weight in network.parameters()
    }
    there |= {id(buffer): buffer.detach().to(device) for buffer in network.buffers()}
    # deepcopy takes what it finds here for copied already.
    return copy.deepcopy(network, there)
