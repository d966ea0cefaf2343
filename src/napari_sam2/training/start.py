"""Beginning a run from the weights of another, perhaps smaller, network of the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_sam2.models.small.weights import read_weights

if TYPE_CHECKING:
    from pathlib import Path

    from napari_sam2.models.small.net import SmallNet

__all__ = ["begin_from"]

#: The layer that sees the input channels.
STEM = "stem.0.weight"


def begin_from(net: SmallNet, path: Path) -> list[str]:
    """Take over weights whose name and shape fit; returns the names of those that did not.

    Input channels that the other network did not have begin with zero weights, and blocks that deepen a network
    begin as the identity, so a deepened network answers at first exactly as the other one did.
    """
    other = read_weights(path).net.state_dict()
    own = net.state_dict()
    left = []
    for name, value in own.items():
        found = other.get(name)
        if found is not None and found.shape == value.shape:
            own[name] = found.clone()
        elif found is not None and name == STEM and found.shape[1] < value.shape[1]:
            own[name] = torch.zeros_like(value)
            own[name][:, : found.shape[1]] = found
        else:
            left.append(name)
    net.load_state_dict(own)
    return left
